//! The counters as browsers see them: read from the store when asked for, but not for everybody.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use store::Store;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::{info, warn};

/// How long a reading serves everybody who asks: at most three readings a second, none of them
/// older than half a second.
const SHARED_FOR: Duration = Duration::from_millis(350);

/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long the store may take to answer; a connection that takes longer is replaced.
const ANSWER: Duration = Duration::from_millis(500);

/// The counters at one moment, as `/json` shows them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    pub(crate) coins: u64,
    pub(crate) hashes: Option<String>,
    /// When the counters were read, in seconds since the Unix epoch.
    pub(crate) now: f64,
}

/// A reading, or a sentence that says why there is none.
pub(crate) type Outcome = Result<Reading, String>;

/// A handle on the counters; clones share their readings.
#[derive(Clone)]
pub(crate) struct Counters {
    store: Store,
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
}

impl Counters {
    pub(crate) fn new(store: &Store) -> anyhow::Result<Self> {
        Ok(Self { store: store.answering_within(ANSWER)?, last: Arc::default() })
    }

    /// Reads the counters, or shares a reading that somebody else has just made.
    pub(crate) async fn read(&self) -> Outcome {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < SHARED_FOR
        {
            return outcome.clone();
        }
        let store = self.store.clone();
        // A task of its own: a client that leaves must not make the next one read again.
        let reading = tokio::spawn(async move {
            let failing = matches!(*last, Some((_, Err(_))));
            let outcome = read(&store, failing).await;
            *last = Some((Instant::now(), outcome.clone()));
            outcome
        });
        reading.await.unwrap_or_else(|error| Err(format!("Reading the counters failed: {error}.")))
    }
}

/// Reads, and logs when that begins to fail or to work.
async fn read(store: &Store, failing: bool) -> Outcome {
    let totals = timeout(PATIENCE, store.totals()).await;
    let (cause, sentence) = match totals {
        Ok(Ok(totals)) => {
            if failing {
                info!("the counters can be read again");
            }
            return Ok(Reading { coins: totals.coins, hashes: totals.hashes, now: now() });
        }
        Ok(Err(error)) => (format!("{error:#}"), "The counters cannot be read: redis is away."),
        Err(_) => {
            let cause = format!("no answer within {PATIENCE:?}");
            (cause, "The counters cannot be read: redis does not answer.")
        }
    };
    if !failing {
        warn!("the counters cannot be read: {cause}");
    }
    Err(sentence.to_owned())
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> f64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0.0, |duration| duration.as_secs_f64())
}
