//! Where the coins are kept: Redis, or a file for the application in one process. It knows no HTTP.

#[cfg(feature = "embedded")]
mod embedded;
mod redis;

use std::{sync::Arc, time::Duration};

use anyhow::Result;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::redis::Redis;
pub use crate::redis::RedisUrl;

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

    /// Reads the counters, one right after the other.
    pub async fn totals(&self) -> Result<Totals> {
        match self {
            Self::Redis(redis) => redis.totals().await,
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.totals().await,
        }
    }
}
