//! The loop: pause, random bytes, hash, coin or not; every second a flush to the store.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use chassis::trace;
use store::{Batch, Coin, Stage, Store};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info};

use crate::{
    ledger::{Ledger, Totals, Unflushed},
    services::{BLOCK, Endpoints, Hashes},
    settings::Settings,
    stats::Stats,
    transport::{Peer, RequestError, Transport},
    unit::Unit,
};

/// How long the worker waits at its end for a response that has probably been computed already.
const GRACE: Duration = Duration::from_millis(500);

/// Time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two attempts to flush at the end.
const FINAL_RETRY: Duration = Duration::from_millis(200);

/// A worker: its settings, its transport and its ledger.
pub struct Worker<T> {
    settings: Settings,
    endpoints: Endpoints,
    transport: T,
    store: Store,
    ledger: Ledger,
    /// When the next flush is due.
    due: Mutex<Instant>,
    stats: Stats,
}

impl<T: Transport> Worker<T> {
    /// A worker that has not started. Fails when the settings make no valid request.
    pub fn new(settings: Settings, transport: T, store: Store, stats: Stats) -> Result<Arc<Self>> {
        let batch = settings.batch.get().into();
        let endpoints = Endpoints::new(&settings.rng_url, &settings.hasher_url, batch)?;
        stats.metrics.loops.inc_by(settings.concurrency.get().into());
        Ok(Arc::new(Self {
            settings,
            endpoints,
            transport,
            store,
            ledger: Ledger::new(stats.metrics.clone()),
            due: Mutex::new(Instant::now()),
            stats,
        }))
    }

    /// The statistics of this worker.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The settings of this worker.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The work of this worker so far.
    pub fn totals(&self) -> Totals {
        self.ledger.totals()
    }

    /// Mines until `stop` is cancelled, whatever happens to rng, hasher and the store, and then
    /// flushes the work, for at most `timeout`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, timeout: Duration) {
        let worker = self.clone();
        let mining = async {
            while !stop.is_cancelled() {
                if let Err(error) = worker.clone().mine_until_error(&stop).await {
                    error!("{error:#}");
                    let retry = worker.settings.retry;
                    error!("Waiting {} and restarting.", humantime::format_duration(retry));
                    worker.stats.set_last_error(&error);
                    stop.run_until_cancelled(sleep(retry)).await;
                }
            }
        };
        self.run_with_heartbeat(mining, &stop, timeout).await;
    }

    /// Publishes a heartbeat every second while the worker mines, and flushes at the end for at
    /// most `timeout`. Returns the result with the work that the store has not acknowledged.
    pub async fn run_with_heartbeat<R>(
        &self,
        mining: impl Future<Output = R>,
        stop: &CancellationToken,
        timeout: Duration,
    ) -> (R, Unflushed) {
        let ended = CancellationToken::new();
        let mining = async {
            let _ended = ended.clone().drop_guard();
            mining.await
        };
        let heartbeats = ended.run_until_cancelled(stop.run_until_cancelled(self.heartbeats()));
        let (result, _) = tokio::join!(mining, heartbeats);
        self.stats.metrics.loops.dec_by(self.settings.concurrency.get().into());
        self.final_flush(timeout).await;
        // If this fails, the heartbeat expires.
        let _ = tokio::time::timeout(GRACE, self.store.deregister(self.ledger.run())).await;
        (result, self.ledger.unflushed())
    }

    async fn heartbeats(&self) {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let heartbeat = self.stats.heartbeat(&self.settings, self.totals());
            if let Err(error) = self.store.heartbeat(self.ledger.run(), &heartbeat).await {
                debug!("the heartbeat was not published: {error:#}");
            }
        }
    }

    async fn mine_until_error(self: Arc<Self>, stop: &CancellationToken) -> Result<()> {
        with_grace(stop, self.flush()).await.unwrap_or(Ok(()))?;
        *self.due.lock().await = Instant::now() + self.settings.interval;
        // The first error halts all loops; each may still complete a hash.
        let halt = stop.child_token();
        let mut loops = JoinSet::new();
        for _ in 0..self.settings.concurrency.get() {
            let (worker, halt) = (self.clone(), halt.clone());
            loops.spawn(async move { worker.mine(&halt).await }.in_current_span());
        }
        let mut outcome = Ok(());
        while let Some(ended) = loops.join_next().await {
            halt.cancel();
            outcome = outcome.and(ended.map_err(Into::into).and_then(|result| result));
        }
        outcome
    }

    async fn mine(&self, halt: &CancellationToken) -> Result<()> {
        while !halt.is_cancelled() {
            self.flush_if_due(halt).await?;
            self.work(halt).await?;
        }
        Ok(())
    }

    /// Does a unit of work, unless the worker halts before it is done.
    pub async fn work(&self, halt: &CancellationToken) -> Result<Option<Unit>, RequestError> {
        let (mut unit, hash_requested) = (Unit::new(), AtomicBool::new(false));
        let result = {
            let work = self.work_once(&mut unit, &hash_requested);
            let mut work = pin!(trace::root("unit of work", work));
            match halt.run_until_cancelled(&mut work).await {
                None if hash_requested.load(Ordering::Relaxed) => timeout(GRACE, work).await.ok(),
                result => result,
            }
        };
        self.stats.add_unit(&unit, matches!(result, Some(Ok(()))));
        if let Some(Err(error)) = &result {
            self.stats.metrics.add_request_error(error.peer, error.kind);
        }
        Ok(result.transpose()?.map(|()| unit))
    }

    /// One unit of work. Sets `hash_requested` when only the hash is missing.
    async fn work_once(
        &self,
        unit: &mut Unit,
        hash_requested: &AtomicBool,
    ) -> Result<(), RequestError> {
        debug!("Doing {} of work", units(self.settings.batch.get()));
        self.pause(unit).await;
        let bytes = self.random_bytes(unit).await?;
        hash_requested.store(true, Ordering::Relaxed);
        let hashes = self.hash(bytes.clone(), unit).await?;
        let coins = self.coins(&bytes, &hashes);
        self.ledger.enter(self.settings.batch.get().into(), coins);
        Ok(())
    }

    async fn pause(&self, unit: &mut Unit) {
        let (started, delay) = (Instant::now(), self.settings.delay);
        // Even an empty sleep lasts until the timer's next millisecond.
        let pause = async {
            if !delay.is_zero() {
                sleep(delay).await;
            }
        };
        trace::span("pause", pause).await;
        unit.add_stage(Stage::Pause, started.elapsed());
    }

    async fn random_bytes(&self, unit: &mut Unit) -> Result<Bytes, RequestError> {
        let _in_flight = self.stats.await_response(Peer::Rng);
        let started = Instant::now();
        let response = self.endpoints.random_bytes(&self.transport).await?;
        unit.add_request(Peer::Rng, started.elapsed(), response.timing);
        if let Some(served_by) = response.served_by {
            self.stats.add_rng(served_by, response.timing);
        }
        Ok(response.value)
    }

    async fn hash(&self, bytes: Bytes, unit: &mut Unit) -> Result<Hashes, RequestError> {
        let _in_flight = self.stats.await_response(Peer::Hasher);
        let started = Instant::now();
        let response = self.endpoints.hash(&self.transport, bytes).await?;
        unit.add_request(Peer::Hasher, started.elapsed(), response.timing);
        self.stats.set_hasher_delay(response.served_by.and_then(|served_by| served_by.delay));
        Ok(response.value)
    }

    fn coins(&self, bytes: &[u8], hashes: &Hashes) -> Vec<Coin> {
        let prefix = self.settings.coin_prefix.as_bytes();
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let found = blocks.iter().zip(hashes.iter()).filter(|(_, hash)| hash.starts_with(prefix));
        let coin = |(bytes, hash): (&[u8; BLOCK], &[u8])| Coin {
            hash: String::from_utf8_lossy(hash).into_owned(),
            bytes: *bytes,
        };
        let coins: Vec<_> = found.map(coin).collect();
        for coin in &coins {
            info!("Coin found: {}...", &coin.hash[..8]);
        }
        if coins.is_empty() {
            debug!("No coin found");
        }
        coins
    }

    /// Whether there is no room for more coins until the store accepts some.
    pub fn is_full(&self) -> bool {
        self.ledger.is_full()
    }

    /// Flushes if it is time to. Returns how long the flush took.
    pub async fn flush_if_due(&self, halt: &CancellationToken) -> Result<Option<Duration>> {
        // One loop flushes while the others mine, unless coins are found faster than the store
        // accepts them.
        let due = match self.is_full() {
            true => halt.run_until_cancelled(self.due.lock()).await,
            false => self.due.try_lock().ok(),
        };
        let Some(mut due) = due.filter(|due| **due <= Instant::now() || self.is_full()) else {
            return Ok(None);
        };
        let started = Instant::now();
        let flushed = with_grace(halt, self.flush()).await.unwrap_or(Ok(()));
        *due = Instant::now() + self.settings.interval;
        flushed.map(|()| Some(started.elapsed()))
    }

    async fn flush(&self) -> Result<()> {
        if let Some(batch) = self.ledger.unacknowledged() {
            self.send(&batch).await?;
        }
        let batch = self.ledger.close_batch();
        info!("{} units of work done, updating hash counter", batch.hashes);
        self.send(&batch).await
    }

    async fn send(&self, batch: &Arc<Batch>) -> Result<()> {
        let started = Instant::now();
        let added = self.store.add(batch).await;
        self.stats.add_stage(Stage::Redis, started.elapsed());
        let known_coins = added.inspect_err(|_| self.stats.metrics.add_store_error())?;
        self.ledger.acknowledge();
        self.stats.clear_store_error();
        for _ in known_coins {
            info!("We already had that coin");
        }
        Ok(())
    }

    async fn final_flush(&self, limit: Duration) {
        let mut cause = None;
        let flush = async {
            while self.ledger.unflushed() != Unflushed::default() {
                if let Err(error) = self.flush().await {
                    cause = Some(error);
                    sleep(FINAL_RETRY).await;
                }
            }
        };
        if timeout(limit, flush).await.is_err() {
            let Unflushed { hashes, coins } = self.ledger.unflushed();
            let cause = cause.map_or("no answer".to_owned(), |error| format!("{error:#}"));
            error!(
                "{hashes} hashes and {coins} coins may be lost: the store did not acknowledge them \
                 within {limit:?}: {cause}"
            );
        }
    }
}

fn units(count: u16) -> String {
    if count == 1 { "one unit".to_owned() } else { format!("{count} units") }
}

/// Awaits a future until shortly after `halt`.
async fn with_grace<F: Future>(halt: &CancellationToken, future: F) -> Option<F::Output> {
    let grace = async {
        halt.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = grace => None,
    }
}
