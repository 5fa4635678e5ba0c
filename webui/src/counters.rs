//! The counters of the store, read on request; concurrent requests share a reading.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use store::{Snapshot, Store};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout},
};
use tracing::{info, warn};

/// How long requests share a reading: at most three readings a second, none older than half a
/// second.
const SHARED_FOR: Duration = Duration::from_millis(350);

/// How long a request to the store may take, connecting and waiting for a permit included.
const TIMEOUT: Duration = Duration::from_millis(800);

/// How long the store may take to respond; a slower connection is replaced.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The number of coins that are read from the store at once.
const MAX_COIN_READS: usize = 16;

/// The counters at one time, as `/json` shows them, and the snapshot that they are part of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    pub(crate) coins: u64,
    pub(crate) hashes: Option<String>,
    /// When the counters were read, in seconds since the Unix epoch.
    pub(crate) now: f64,
    #[serde(skip)]
    pub(crate) snapshot: Arc<Snapshot>,
}

/// A reading, or a sentence that explains why there is none.
pub(crate) type Outcome = Result<Reading, String>;

/// A handle on the store; clones share its readings.
#[derive(Clone)]
pub(crate) struct Counters {
    store: Store,
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
    coin_reads: Arc<Semaphore>,
}

impl Counters {
    pub(crate) fn new(store: &Store) -> anyhow::Result<Self> {
        Ok(Self {
            store: store.with_timeout(RESPONSE_TIMEOUT)?,
            last: Arc::default(),
            coin_reads: Arc::new(Semaphore::new(MAX_COIN_READS)),
        })
    }

    /// Reads the bytes of a coin. The error is a sentence.
    pub(crate) async fn coin(&self, hash: &str) -> Result<Option<Vec<u8>>, String> {
        let bytes = request(async {
            let _permit = self.coin_reads.acquire().await?;
            self.store.coin(hash).await
        });
        bytes.await.map_err(|(sentence, _)| sentence.to_owned())
    }

    /// Reads the counters, or shares a reading that another request has just made.
    pub(crate) async fn read(&self) -> Outcome {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < SHARED_FOR
        {
            return outcome.clone();
        }
        let store = self.store.clone();
        // In its own task: if the client disconnects, the reading must still be shared.
        let reading = tokio::spawn(async move {
            let failing = matches!(*last, Some((_, Err(_))));
            let outcome = read(&store, failing).await;
            *last = Some((Instant::now(), outcome.clone()));
            outcome
        });
        reading.await.unwrap_or_else(|error| Err(format!("Reading the counters failed: {error}.")))
    }
}

/// Reads the counters, and logs when this starts to fail or to succeed.
async fn read(store: &Store, failing: bool) -> Outcome {
    let snapshot = request(store.read()).await.map_err(|(sentence, cause)| {
        if !failing {
            warn!("the counters cannot be read: {cause}");
        }
        sentence.to_owned()
    })?;
    if failing {
        info!("the counters can be read again");
    }
    let store::Totals { coins, hashes } = snapshot.totals.clone();
    Ok(Reading { coins, hashes, now: now(), snapshot: snapshot.into() })
}

/// Limits the time of a request to the store. The error is a sentence for clients, and the cause.
async fn request<T>(
    request: impl Future<Output = anyhow::Result<T>>,
) -> Result<T, (&'static str, String)> {
    match timeout(TIMEOUT, request).await {
        Ok(result) => result.map_err(|error| {
            ("The counters cannot be read: redis is unreachable.", format!("{error:#}"))
        }),
        Err(_) => Err((
            "The counters cannot be read: redis does not respond.",
            format!("no response within {TIMEOUT:?}"),
        )),
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> f64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0.0, |duration| duration.as_secs_f64())
}
