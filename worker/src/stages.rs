//! Where the time of the worker goes.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// The time spent in each stage of a unit of work, over all loops of one worker.
#[derive(Debug, Default)]
pub struct Stages {
    /// The pause before the work.
    pub pause: Mean,
    /// Waiting for random bytes.
    pub rng: Mean,
    /// Waiting for their hash.
    pub hasher: Mean,
    /// Reporting to redis, once per report.
    pub redis: Mean,
}

/// A total and a count, from which the mean follows.
#[derive(Debug, Default)]
pub struct Mean {
    nanoseconds: AtomicU64,
    count: AtomicU64,
}

impl Mean {
    /// Runs a future and adds the time it took, unless it is dropped before its end.
    pub async fn measure<F: Future>(&self, future: F) -> F::Output {
        let start = Instant::now();
        let output = future.await;
        self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        output
    }

    /// The total time and how often it was measured.
    pub fn total(&self) -> (Duration, u64) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (Duration::from_nanos(nanoseconds), self.count.load(Ordering::Relaxed))
    }
}
