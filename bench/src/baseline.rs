//! What the baselines share: the messages of one unit of work, and the statistics of a run.

use std::{
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How a process waits for its connections.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum IoModel {
    /// One thread per connection.
    Threads,
    /// One thread for all connections, with readiness events from the kernel.
    Epoll,
}

/// A request and its response, byte for byte.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

/// The messages of one unit of work.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Messages {
    pub(crate) rng: Exchange,
    pub(crate) hasher: Exchange,
}

/// The work of a baseline's worker.
pub(crate) struct Workload {
    /// The exchanges of each unit of work, first with rng, then with hasher.
    pub(crate) exchanges: [(SocketAddr, Exchange); 2],
    /// Concurrent loops.
    pub(crate) loops: usize,
    /// How long the loops mine.
    pub(crate) duration: Duration,
}

/// The statistics of a run. A baseline prints them as JSON, and the ladder reads them.
#[derive(Deserialize, Serialize)]
pub(crate) struct RunStats {
    pub(crate) hashes: u64,
    pub(crate) seconds: f64,
    /// Median time of a unit of work, in seconds.
    pub(crate) p50: Option<f64>,
}

impl RunStats {
    /// The statistics of a run that ends now, from the seconds that each unit of work took.
    pub(crate) fn new(started: Instant, mut units: Vec<f32>) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        units.sort_by(f32::total_cmp);
        let p50 = units.get(units.len() / 2).map(|seconds| f64::from(*seconds));
        Self { hashes: units.len() as u64, seconds, p50 }
    }

    pub(crate) fn print(&self) -> Result<()> {
        Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(self)?)?)
    }
}
