//! The loop: pause, random bytes, hash, coin or not; every second a report to the store.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use chassis::trace;
use store::{Coin, Store};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info};

use crate::{Insight, Peers, Settings, ledger::Ledger, peers};

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
    peers: P,
    store: Store,
    ledger: Ledger,
    /// When the next report is due.
    due: Mutex<Instant>,
    insight: Insight,
}

impl<P: Peers> Worker<P> {
    /// A worker that has not begun yet.
    pub fn new(settings: Settings, peers: P, store: Store, insight: Insight) -> Arc<Self> {
        insight.metrics.loops.inc_by(settings.concurrency.get().into());
        Arc::new(Self {
            settings,
            peers,
            store,
            ledger: Ledger::new(insight.metrics.clone()),
            due: Mutex::new(Instant::now()),
            insight,
        })
    }

    /// What this worker knows of itself.
    pub fn insight(&self) -> &Insight {
        &self.insight
    }

    /// Hashes and coins of this worker so far.
    pub fn total(&self) -> (u64, u64) {
        self.ledger.total()
    }

    /// Mines until `stop` is cancelled, whatever happens to its peers, and then reports what it has
    /// done, for at most `patience`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, patience: Duration) {
        let worker = self.clone();
        let announcing = async { stop.run_until_cancelled(worker.announce()).await };
        let mining = async {
            while !stop.is_cancelled() {
                if let Err(error) = self.clone().mine_until_error(&stop).await {
                    error!("{error:#}");
                    let retry = self.settings.retry;
                    info!("Waiting {} and restarting.", humantime::format_duration(retry));
                    self.insight.set_trouble(Some(format!("{error:#}")));
                    stop.run_until_cancelled(sleep(retry)).await;
                }
            }
        };
        tokio::join!(mining, announcing);
        self.report_the_rest(patience).await;
        // Who cannot be told will notice that nothing is said any more.
        let _ = timeout(LAST_ANSWER, self.store.leave(self.ledger.run())).await;
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
            trace::root("unit of work", self.work_once(halt)).await?;
        }
        Ok(())
    }

    async fn work_once(&self, halt: &CancellationToken) -> Result<()> {
        debug!("Doing one unit of work");
        let Some(bytes) = halt.run_until_cancelled(self.pause_and_get_random_bytes(halt)).await
        else {
            return Ok(());
        };
        let bytes = bytes?;
        let Some(hash) = or_late(halt, self.hash(bytes)).await else {
            return Ok(());
        };
        let hash = hash?;
        if hash.starts_with(&self.settings.coin_prefix) {
            info!("Coin found: {}...", &hash[..8]);
            self.ledger.enter(Some(Coin { hash, bytes }));
        } else {
            debug!("No coin found");
            self.ledger.enter(None);
        }
        Ok(())
    }

    async fn pause_and_get_random_bytes(&self, halt: &CancellationToken) -> Result<[u8; 32]> {
        let pause = trace::span("pause", chassis::simulate(self.settings.delay, halt));
        self.insight.pause(pause).await;
        self.insight.rng(peers::random_bytes(&self.peers, &self.settings.rng_url)).await
    }

    async fn hash(&self, bytes: [u8; 32]) -> Result<String> {
        self.insight.hasher(peers::hash(&self.peers, &self.settings.hasher_url, bytes)).await
    }

    async fn report_if_due(&self, halt: &CancellationToken) -> Result<()> {
        // One loop reports, the others go on mining.
        if let Ok(mut due) = self.due.try_lock()
            && *due <= Instant::now()
        {
            or_late(halt, self.report()).await.unwrap_or(Ok(()))?;
            *due = Instant::now() + self.settings.interval;
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
        let known = self.insight.redis(self.store.add(batch)).await?;
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

/// Awaits a future, but not much longer than `halt`.
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
