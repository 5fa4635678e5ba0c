//! Where the coins are stored: in Redis, or in a file when the application is one process.
//!
//! In reading order: this file has the [`Store`] and its types, `heartbeat` the state of a worker,
//! `redis` and `embedded` the two stores, `latency` the metric.

#[cfg(feature = "embedded")]
mod embedded;
mod heartbeat;
mod latency;
mod redis;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use prometheus_client::registry::Registry;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::redis::{RESPONSE_TIMEOUT, Redis};
pub use crate::{
    heartbeat::{Heartbeat, Part, Rng, Stage, StageTimes},
    redis::{RedisUrl, Refusal},
};

/// The number of recent coins that the store lists.
const RECENT_COINS: usize = 10;

/// How long samples of the history are kept: the longest window of the dashboard, and some more.
pub const HISTORY: Duration = Duration::from_secs(31 * 60);

/// Samples later than this, in seconds, remain from before the clock went back. Other dashboards may
/// be a little ahead.
const MAX_AHEAD: u64 = 5;

/// How long a worker counts as alive after its last heartbeat.
const ALIVE: Duration = Duration::from_secs(5);

/// Bytes whose hash qualifies, with that hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Coin {
    /// The SHA-256 of the bytes, in lowercase hex.
    pub hash: String,
    /// The 32 random bytes.
    pub bytes: [u8; 32],
}

/// The work that a worker adds in one flush. A batch that is sent twice counts once.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The run of the worker, unique for each start of a worker.
    pub run: String,
    /// The number of this batch within the run, counting up from 1.
    pub sequence: u64,
    /// Units of work done.
    pub hashes: u64,
    /// Coins found in them.
    pub coins: Vec<Coin>,
}

/// The counters of the whole application.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Coins in the wallet; none if it cannot be read.
    pub coins: Option<u64>,
    /// Units of work done, as stored; none before the first batch.
    pub hashes: Option<String>,
}

/// A coin that was added to the wallet recently.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentCoin {
    /// The hash of the coin, which is its key in the wallet.
    pub hash: String,
    /// When it was added, in seconds since the Unix epoch, by the clock of the store.
    pub at: f64,
}

/// A worker that sent a heartbeat within the last five seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerStatus {
    /// The run of the worker.
    pub run: String,
    /// When its heartbeat arrived, in seconds since the Unix epoch, by the clock of the store.
    pub at: f64,
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
}

/// The state that a dashboard shows, read at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was read, in seconds since the Unix epoch, by the clock of the store.
    pub now: f64,
    /// The counters.
    pub totals: Totals,
    /// The units of work that [`Store::add`] has added, if known; the workers of the original
    /// application count theirs without it.
    pub added: Option<u64>,
    /// The coins added last, newest first.
    pub recent_coins: Vec<RecentCoin>,
    /// The workers alive, in the order of their runs; none if they cannot be read.
    pub workers: Option<Vec<WorkerStatus>>,
    /// Problems with keys that cannot be read completely, e.g. `wallet is not a hash`.
    pub problems: Vec<String>,
}

impl Snapshot {
    /// The units of work done: zero before the first batch, none if the counter is not a number.
    pub fn hashes(&self) -> Option<u64> {
        self.totals.hashes.as_deref().map_or(Some(0), |hashes| hashes.parse().ok())
    }
}

/// A store; clones share it.
#[derive(Clone)]
pub enum Store {
    /// A Redis server.
    Redis(Arc<Redis>),
    /// A file that only this process uses, or memory.
    #[cfg(feature = "embedded")]
    Embedded(Arc<Embedded>),
}

/// Makes the same call on whichever store this is.
macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Redis($store) => $call,
            #[cfg(feature = "embedded")]
            Self::Embedded($store) => $call,
        }
    };
}

impl Store {
    /// A store in Redis, which connects at its first use. Needs a Tokio runtime. Fails when the URL
    /// requires TLS and TLS cannot be set up.
    pub fn redis(url: &RedisUrl) -> Result<Self> {
        Ok(Self::Redis(Redis::new(url.clone(), RESPONSE_TIMEOUT, latency::new())?.into()))
    }

    /// A store in a file, created with its folder if missing. Fails when the file cannot be used,
    /// e.g. because another process has it open.
    #[cfg(feature = "embedded")]
    pub fn file(path: &std::path::Path) -> Result<Self> {
        Ok(Self::Embedded(Embedded::open(path)?.into()))
    }

    /// A store in memory, lost when the process ends.
    #[cfg(feature = "embedded")]
    pub fn memory() -> Result<Self> {
        Ok(Self::Embedded(Embedded::in_memory()?.into()))
    }

    /// Registers the latency of Redis in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        match self {
            Self::Redis(redis) => latency::register(redis.latency.clone(), registry),
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => {}
        }
    }

    /// The same store with another timeout for responses, on its own connection.
    pub fn with_timeout(&self, timeout: Duration) -> Result<Self> {
        match self {
            Self::Redis(redis) => {
                let redis = Redis::new(redis.url.clone(), timeout, redis.latency.clone())?;
                Ok(Self::Redis(redis.into()))
            }
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => Ok(self.clone()),
        }
    }

    /// Adds a batch exactly once, however often it is sent. Returns the hashes of those of its
    /// coins that were in the wallet already.
    pub async fn add(&self, batch: &Arc<Batch>) -> Result<Vec<String>> {
        either!(self, store => store.add(batch).await)
    }

    /// Reads the counters, the recent coins and the workers in one round trip.
    pub async fn read(&self) -> Result<Snapshot> {
        either!(self, store => store.read().await)
    }

    /// Stores a sample of the history for this second since the Unix epoch, unless one is stored
    /// already, and removes old ones, and those more than five seconds later, from before the clock
    /// went back. Returns the samples of later seconds than `after`, oldest first.
    pub async fn record(&self, second: u64, sample: &str, after: u64) -> Result<Vec<String>> {
        either!(self, store => store.record(second, sample, after).await)
    }

    /// The bytes of the coin with this hash, if it is in the wallet.
    pub async fn coin(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        either!(self, store => store.coin(hash).await)
    }

    /// Publishes the state of a worker, which then counts as alive for five seconds.
    pub async fn heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<()> {
        either!(self, store => store.heartbeat(run, heartbeat).await)
    }

    /// Removes a worker from the workers alive.
    pub async fn deregister(&self, run: &str) -> Result<()> {
        either!(self, store => store.deregister(run).await)
    }
}
