//! The store as browsers see it: read when asked for, but not for everybody.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use serde::Serialize;
use store::{Snapshot, Store};
use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// How long a reading serves everybody who asks: at most three readings a second, none of them
/// older than half a second.
const SHARED_FOR: Duration = Duration::from_millis(350);

/// How long a reading may take, connecting included.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long the store may take to answer; a connection that takes longer is replaced.
const ANSWER: Duration = Duration::from_millis(500);

/// The most coins that one reading looks up; the others wait for the next one.
const MOST_ASKED: usize = 100;

/// The counters at one moment, as `/json` shows them, and everything else that was read with them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    pub(crate) coins: u64,
    pub(crate) hashes: Option<String>,
    /// When the counters were read, in seconds since the Unix epoch.
    pub(crate) now: f64,
    #[serde(skip)]
    pub(crate) snapshot: Arc<Snapshot>,
}

/// A reading, or a sentence that says why there is none.
pub(crate) type Outcome = Result<Reading, String>;

/// The bytes under a hash, if there are any, or a sentence that says why nobody knows.
pub(crate) type Found = Result<Option<Vec<u8>>, String>;

/// A hash that somebody asked for, and who is told.
type Question = (String, oneshot::Sender<Found>);

/// A handle on the counters; clones share their readings.
#[derive(Clone)]
pub(crate) struct Counters {
    store: Store,
    last: Arc<Mutex<Option<(Instant, Outcome)>>>,
    /// What the next reading looks up.
    asked: Arc<std::sync::Mutex<Vec<Question>>>,
}

impl Counters {
    pub(crate) fn new(store: &Store) -> anyhow::Result<Self> {
        Ok(Self {
            store: store.answering_within(ANSWER)?,
            last: Arc::default(),
            asked: Arc::default(),
        })
    }

    /// The bytes under a hash, which come with the next reading, whoever asks for that one.
    pub(crate) async fn look_up(&self, hash: String) -> Found {
        let (teller, mut told) = oneshot::channel();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((hash, teller));
        loop {
            tokio::select! {
                biased;
                found = &mut told => {
                    return found.unwrap_or_else(|_| Err("Reading the coin failed.".to_owned()));
                }
                () = sleep(SHARED_FOR) => drop(self.read().await),
            }
        }
    }

    /// Reads the counters, or shares a reading that somebody else has just made.
    pub(crate) async fn read(&self) -> Outcome {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < SHARED_FOR
        {
            return outcome.clone();
        }
        let (store, asked) = (self.store.clone(), self.take_asked());
        // A task of its own: a client that leaves must not make the next one read again.
        let reading = tokio::spawn(async move {
            let failing = matches!(*last, Some((_, Err(_))));
            let (hashes, tellers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            let outcome = read(&store, &hashes, failing).await;
            for (number, teller) in tellers.into_iter().enumerate() {
                let found = |reading: &Reading| reading.snapshot.asked.get(number)?.clone();
                // Whoever has left needs no answer.
                let _ = teller.send(outcome.as_ref().map(found).map_err(Clone::clone));
            }
            *last = Some((Instant::now(), outcome.clone()));
            outcome
        });
        reading.await.unwrap_or_else(|error| Err(format!("Reading the counters failed: {error}.")))
    }

    fn take_asked(&self) -> Vec<Question> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|(_, teller)| !teller.is_closed());
        let most = asked.len().min(MOST_ASKED);
        asked.drain(..most).collect()
    }
}

/// Reads, and logs when that begins to fail or to work.
async fn read(store: &Store, hashes: &[String], failing: bool) -> Outcome {
    let snapshot = timeout(PATIENCE, store.read(hashes)).await;
    let (cause, sentence) = match snapshot {
        Ok(Ok(snapshot)) => {
            if failing {
                info!("the counters can be read again");
            }
            let store::Totals { coins, hashes } = snapshot.totals.clone();
            return Ok(Reading { coins, hashes, now: now(), snapshot: snapshot.into() });
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
