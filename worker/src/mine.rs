//! The loop: pause, random bytes, hash, coin or not; every second a report to the store.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use chassis::trace;
use store::{Coin, Store};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info};

use crate::{
    Insight, Peers, Settings,
    ledger::Ledger,
    peers::{BLOCK, Hashes, Questions},
};

/// How long a peer that has been asked is waited for when the worker stops, since it has probably
/// done that work already.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// Time between two announcements.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// Time between two tries to report while the worker stops.
const LAST_RETRY: Duration = Duration::from_millis(200);

/// A worker: its settings, its peers and its books.
pub struct Worker<P> {
    settings: Settings,
    questions: Questions,
    peers: P,
    store: Store,
    ledger: Ledger,
    /// When the next report is due.
    due: Mutex<Instant>,
    insight: Insight,
}

impl<P: Peers> Worker<P> {
    /// A worker that has not begun yet. Fails when no request can be built from the settings.
    pub fn new(settings: Settings, peers: P, store: Store, insight: Insight) -> Result<Arc<Self>> {
        let batch = settings.batch.get().into();
        let questions = Questions::new(&settings.rng_url, &settings.hasher_url, batch)?;
        insight.metrics.loops.inc_by(settings.concurrency.get().into());
        Ok(Arc::new(Self {
            settings,
            questions,
            peers,
            store,
            ledger: Ledger::new(insight.metrics.clone()),
            due: Mutex::new(Instant::now()),
            insight,
        }))
    }

    /// What this worker knows of itself.
    pub fn insight(&self) -> &Insight {
        &self.insight
    }

    /// What this worker was told.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Hashes and coins of this worker so far.
    pub fn total(&self) -> (u64, u64) {
        self.ledger.total()
    }

    /// Mines until `stop` is cancelled, whatever happens to its peers, and then reports what it has
    /// done, for at most `patience`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, patience: Duration) {
        let worker = self.clone();
        let mining = async {
            while !stop.is_cancelled() {
                if let Err(error) = worker.clone().mine_until_error(&stop).await {
                    error!("{error:#}");
                    let retry = worker.settings.retry;
                    info!("Waiting {} and restarting.", humantime::format_duration(retry));
                    worker.insight.set_trouble(Some(format!("{error:#}")));
                    stop.run_until_cancelled(sleep(retry)).await;
                }
            }
        };
        self.attend(mining, &stop, patience).await;
    }

    /// Tells everybody of this worker while it mines, and reports at the end what it has done.
    /// Returns with its result how many hashes and coins no store has taken.
    pub(crate) async fn attend<T>(
        &self,
        mining: impl Future<Output = T>,
        stop: &CancellationToken,
        patience: Duration,
    ) -> (T, (u64, usize)) {
        let ended = CancellationToken::new();
        let mining = async {
            let _ended = ended.clone().drop_guard();
            mining.await
        };
        let announcing = ended.run_until_cancelled(stop.run_until_cancelled(self.announce()));
        let (result, _) = tokio::join!(mining, announcing);
        self.insight.metrics.loops.dec_by(self.settings.concurrency.get().into());
        self.report_the_rest(patience).await;
        // Who cannot be told will notice that nothing is said any more.
        let _ = timeout(LAST_ANSWER, self.store.leave(self.ledger.run())).await;
        (result, self.ledger.pending())
    }

    /// Tells everybody once a second how this worker does.
    async fn announce(&self) {
        let mut ticks = interval(ANNOUNCEMENT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let worker = self.insight.worker(self.settings.concurrency.get(), self.total());
            if let Err(error) = self.store.announce(self.ledger.run(), &worker).await {
                debug!("nobody was told how this worker does: {error:#}");
            }
        }
    }

    async fn mine_until_error(self: Arc<Self>, stop: &CancellationToken) -> Result<()> {
        or_late(stop, self.report()).await.unwrap_or(Ok(()))?;
        *self.due.lock().await = Instant::now() + self.settings.interval;
        self.insight.set_trouble(None);
        // The first error halts all loops; each completes the hash it is waiting for.
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
            self.report_if_due(halt).await?;
            self.work(halt).await?;
        }
        Ok(())
    }

    /// Does one batch of work; tells whether it was completed before `halt`.
    pub(crate) async fn work(&self, halt: &CancellationToken) -> Result<bool> {
        trace::root("unit of work", self.work_once(halt)).await
    }

    async fn work_once(&self, halt: &CancellationToken) -> Result<bool> {
        debug!("Doing {} of work", units(self.settings.batch.get()));
        self.pause(halt).await;
        if halt.is_cancelled() {
            return Ok(false);
        }
        let bytes = halt.run_until_cancelled(pin!(self.random_bytes())).await;
        let Some(bytes) = bytes.transpose()? else {
            return Ok(false);
        };
        let hashes = or_late(halt, pin!(self.hash(bytes.clone()))).await;
        let Some(hashes) = hashes.transpose()? else {
            return Ok(false);
        };
        let coins = self.coins(&bytes, &hashes);
        for coin in &coins {
            info!("Coin found: {}...", &coin.hash[..8]);
        }
        if coins.is_empty() {
            debug!("No coin found");
        }
        self.ledger.enter(self.settings.batch.get().into(), coins);
        Ok(true)
    }

    /// Ends at once when the worker is told to stop.
    async fn pause(&self, halt: &CancellationToken) {
        let pause = trace::span("pause", chassis::simulate(self.settings.delay, halt));
        self.insight.pause(pause.await);
    }

    async fn random_bytes(&self) -> Result<Bytes> {
        let asked = Instant::now();
        self.insight.rng(asked, self.questions.random_bytes(&self.peers).await)
    }

    async fn hash(&self, bytes: Bytes) -> Result<Hashes> {
        let asked = Instant::now();
        self.insight.hasher(asked, self.questions.hash(&self.peers, bytes).await)
    }

    fn coins(&self, bytes: &[u8], hashes: &Hashes) -> Vec<Coin> {
        let prefix = self.settings.coin_prefix.as_bytes();
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let work = blocks.iter().zip(hashes.iter());
        let coins = work.filter(|(_, hash)| hash.starts_with(prefix));
        let coin = |(bytes, hash): (&[u8; BLOCK], &[u8])| Coin {
            hash: String::from_utf8_lossy(hash).into_owned(),
            bytes: *bytes,
        };
        coins.map(coin).collect()
    }

    /// Whether there is no room for more coins until redis has taken some.
    pub(crate) fn is_full(&self) -> bool {
        self.ledger.is_full()
    }

    /// Reports if it is time to.
    pub(crate) async fn report_if_due(&self, halt: &CancellationToken) -> Result<()> {
        // One loop reports, the others go on mining; unless coins come faster than redis takes them.
        let due = match self.is_full() {
            true => halt.run_until_cancelled(self.due.lock()).await,
            false => self.due.try_lock().ok(),
        };
        if let Some(mut due) = due
            && (*due <= Instant::now() || self.is_full())
        {
            let reported = or_late(halt, self.report()).await;
            *due = Instant::now() + self.settings.interval;
            return reported.unwrap_or(Ok(()));
        }
        Ok(())
    }

    async fn report(&self) -> Result<()> {
        if let Some(batch) = self.ledger.unacknowledged() {
            self.send(&batch).await?;
        }
        let batch = self.ledger.close_batch();
        info!("{} units of work done, updating hash counter", batch.hashes);
        self.send(&batch).await
    }

    async fn send(&self, batch: &store::Batch) -> Result<()> {
        let began = Instant::now();
        let known = self.insight.redis(began, self.store.add(batch).await)?;
        self.ledger.acknowledge();
        for _ in known {
            info!("We already had that coin");
        }
        Ok(())
    }

    async fn report_the_rest(&self, patience: Duration) {
        let mut cause = None;
        let report = async {
            while self.ledger.pending() != (0, 0) {
                if let Err(error) = self.report().await {
                    cause = Some(error);
                    sleep(LAST_RETRY).await;
                }
            }
        };
        if timeout(patience, report).await.is_err() {
            let (hashes, coins) = self.ledger.pending();
            let cause = cause.map_or("no answer".to_owned(), |error| format!("{error:#}"));
            error!(
                "{hashes} hashes and {coins} coins are lost: no store took them within \
                 {patience:?}: {cause}"
            );
        }
    }
}

fn units(count: u16) -> String {
    if count == 1 { "one unit".to_owned() } else { format!("{count} units") }
}

/// Awaits a future, but not much longer than `halt`. A large one is best pinned by whoever calls:
/// it would be kept here twice, and copied.
async fn or_late<F: Future>(halt: &CancellationToken, future: F) -> Option<F::Output> {
    let late = async {
        halt.cancelled().await;
        sleep(LAST_ANSWER).await;
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = late => None,
    }
}
