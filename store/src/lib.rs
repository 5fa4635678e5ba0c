//! Where the coins are kept: Redis, or a file for the application in one process. It knows no HTTP.

#[cfg(feature = "embedded")]
mod embedded;
mod latency;
mod redis;
mod worker;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use prometheus_client::registry::Registry;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::redis::Redis;
pub use crate::{
    redis::RedisUrl,
    worker::{Rng, StageTimes, Worker},
};

/// How many of the newest coins are remembered apart from the wallet.
const RECENT: usize = 10;

/// How long a worker that says nothing counts as alive.
const ALIVE: Duration = Duration::from_secs(5);

/// Bytes whose hash qualifies, under that hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Coin {
    /// The SHA-256 of the bytes, in lowercase hex.
    pub hash: String,
    /// The 32 random bytes.
    pub bytes: [u8; 32],
}

/// The work that one worker reports at once. Sent again with the same number, it counts once.
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
    /// Coins in the wallet.
    pub coins: u64,
    /// Units of work done, as stored; none before the first batch.
    pub hashes: Option<String>,
}

/// A coin as it was added to the wallet.
#[derive(Clone, Debug, PartialEq)]
pub struct Find {
    /// The hash of the coin, which is its key in the wallet.
    pub hash: String,
    /// When it was added, in seconds since the Unix epoch, by the clock of the store.
    pub at: f64,
}

/// A worker that has said something within the last five seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The run of the worker.
    pub run: String,
    /// When it said it, in seconds since the Unix epoch, by the clock of the store.
    pub at: f64,
    /// What it said.
    pub worker: Worker,
}

/// Everything a dashboard shows, read at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was read, in seconds since the Unix epoch, by the clock of the store.
    pub now: f64,
    /// The counters.
    pub totals: Totals,
    /// The coins added last, the newest first.
    pub finds: Vec<Find>,
    /// The workers alive, in the order of their runs.
    pub workers: Vec<Sighting>,
    /// For each hash that was asked for, the bytes under it.
    pub asked: Vec<Option<Vec<u8>>>,
}

/// A store; clones share it.
#[derive(Clone)]
pub enum Store {
    /// A Redis server.
    Redis(Arc<Redis>),
    /// A file that this process alone has open.
    #[cfg(feature = "embedded")]
    Embedded(Arc<Embedded>),
}

impl Store {
    /// A store on Redis, which need not be there yet. Needs a runtime; fails when TLS is asked for
    /// and cannot be had.
    pub fn redis(url: &RedisUrl) -> Result<Self> {
        Ok(Self::Redis(Redis::new(url)?.into()))
    }

    /// A store in a file, made with its folder when it is not there. Fails when the file cannot be
    /// used, above all because another process has it open.
    #[cfg(feature = "embedded")]
    pub fn file(path: &std::path::Path) -> Result<Self> {
        Ok(Self::Embedded(Embedded::open(path)?.into()))
    }

    /// A store that is gone with the process.
    #[cfg(feature = "embedded")]
    pub fn memory() -> Result<Self> {
        Ok(Self::Embedded(Embedded::in_memory()?.into()))
    }

    /// Shows in `registry` from now on how long redis takes.
    pub fn register(&self, registry: &mut Registry) {
        match self {
            Self::Redis(redis) => redis.register(registry),
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => {}
        }
    }

    /// A redis whose latency is registered with this store's.
    pub fn other(&self, url: &RedisUrl) -> Result<Self> {
        match self {
            Self::Redis(redis) => Ok(Self::Redis(redis.other(url)?.into())),
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => Self::redis(url),
        }
    }

    /// The same store for a reader who would rather know soon that there is no answer.
    pub fn answering_within(&self, patience: Duration) -> Result<Self> {
        match self {
            Self::Redis(redis) => Ok(Self::Redis(redis.answering_within(patience)?.into())),
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => Ok(self.clone()),
        }
    }

    /// Adds a batch, exactly once however often it is sent, and returns the hashes of those of its
    /// coins that were in the wallet already.
    pub async fn add(&self, batch: &Batch) -> Result<Vec<String>> {
        match self {
            Self::Redis(redis) => redis.add(batch).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.add(batch).await,
        }
    }

    /// Reads everything in one exchange, with the coins under the given hashes.
    pub async fn read(&self, hashes: &[String]) -> Result<Snapshot> {
        match self {
            Self::Redis(redis) => redis.read(hashes).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.read(hashes).await,
        }
    }

    /// Reads the counters alone.
    pub async fn totals(&self) -> Result<Totals> {
        Ok(self.read(&[]).await?.totals)
    }

    /// Shows a worker to everybody who reads, for five seconds.
    pub async fn announce(&self, run: &str, worker: &Worker) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.announce(run, worker).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.announce(run, worker),
        }
    }

    /// Stops showing a worker.
    pub async fn leave(&self, run: &str) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.leave(run).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.leave(run),
        }
    }
}
