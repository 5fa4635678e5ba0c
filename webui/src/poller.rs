//! Reads the store on demand: requests that wait share a reading that began after they came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use store::{Refusal, Snapshot, Store};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

/// The shortest time between the starts of two readings: 20 readings a second.
const SPACING: Duration = Duration::from_millis(50);

/// How long a request to the store may take, connecting included.
const TIMEOUT: Duration = Duration::from_millis(800);

/// How long the store may take to respond; a slower connection is replaced.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A snapshot of the store, or a sentence that explains why there is none.
pub(crate) type Outcome = Result<Arc<Snapshot>, String>;

/// One reading of the store.
#[derive(Clone)]
pub(crate) struct Reading {
    /// Readings count up from 1.
    pub(crate) number: u64,
    /// When it began, in seconds since the Unix epoch, by the clock of this host.
    pub(crate) now: f64,
    pub(crate) outcome: Outcome,
}

/// Asks for readings; clones share them.
#[derive(Clone)]
pub(crate) struct Poller {
    demand: mpsc::Sender<()>,
    /// The number of the last reading that began.
    started: Arc<AtomicU64>,
    readings: watch::Receiver<Reading>,
}

impl Poller {
    /// A poller, and the task that reads, which ends with the last clone of the poller.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()>) {
        let nothing = Reading { number: 0, now: now(), outcome: Err(String::new()) };
        let (sender, readings) = watch::channel(nothing);
        let (demand, demands) = mpsc::channel(1);
        let started = Arc::default();
        let run = run(store, demands, Arc::clone(&started), sender);
        (Self { demand, started, readings }, run)
    }

    /// Waits for a reading that begins after this call; none if the task has ended.
    pub(crate) async fn read(&self) -> Option<Reading> {
        let wanted = self.started.load(Ordering::SeqCst) + 1;
        // If the channel is full, the next reading is on demand already.
        let _ = self.demand.try_send(());
        let mut readings = self.readings.clone();
        let reading = readings.wait_for(|reading| reading.number >= wanted).await.ok()?;
        Some(reading.clone())
    }
}

async fn run(
    store: Store,
    mut demands: mpsc::Receiver<()>,
    started: Arc<AtomicU64>,
    readings: watch::Sender<Reading>,
) {
    let mut problem = String::new();
    while demands.recv().await.is_some() {
        let (start, now) = (Instant::now(), now());
        let number = started.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = call(store.read()).await.map(Arc::new);
        log_change(&mut problem, &outcome);
        let outcome =
            outcome.map_err(|error| format!("The counters cannot be read: {}", error.sentence));
        readings.send_replace(Reading { number, now, outcome });
        sleep_until(start + SPACING).await;
    }
}

/// Why the store cannot be read.
pub(crate) struct StoreError {
    /// For clients.
    pub(crate) sentence: String,
    /// For the log.
    pub(crate) cause: String,
}

/// Limits the time of a request to the store.
pub(crate) async fn call<T>(
    request: impl Future<Output = anyhow::Result<T>>,
) -> Result<T, StoreError> {
    match timeout(TIMEOUT, request).await {
        Ok(result) => result.map_err(|error| StoreError {
            sentence: match error.downcast_ref::<Refusal>() {
                Some(refusal) => format!("redis responds with the error {}", refusal.code),
                None => "redis is unreachable".to_owned(),
            },
            cause: format!("{error:#}"),
        }),
        Err(_) => Err(StoreError {
            sentence: "redis does not respond".to_owned(),
            cause: format!("no response within {TIMEOUT:?}"),
        }),
    }
}

/// Logs when a problem begins and when it ends.
fn log_change(problem: &mut String, outcome: &Result<Arc<Snapshot>, StoreError>) {
    let text = match outcome {
        Ok(snapshot) => snapshot.problems.join("; "),
        Err(error) => error.sentence.clone(),
    };
    if text == *problem {
        return;
    }
    match outcome {
        Err(error) => warn!("the counters cannot be read: {}", error.cause),
        Ok(_) if !text.is_empty() => warn!("redis has values that cannot be read: {text}"),
        Ok(_) => info!("the counters can be read again"),
    }
    *problem = text;
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}
