//! The summary of a run, which the application prints at its end.

use std::{fmt, sync::Arc, time::Duration};

use store::Stage;
use worker::{Client, Worker};

/// What was mined, how fast, and how the time was spent.
pub struct Summary {
    /// How long the application ran.
    pub elapsed: Duration,
    /// Units of work done.
    pub hashes: u64,
    /// Coins found.
    pub coins: u64,
    /// Mean time of a unit of work in each stage, in milliseconds.
    stages: Vec<(&'static str, f64)>,
}

impl Summary {
    pub(crate) fn new(elapsed: Duration, workers: &[Arc<Worker<Client>>]) -> Self {
        let totals = || workers.iter().map(|worker| worker.totals());
        let hashes = totals().map(|totals| totals.hashes).sum();
        let mean = |(name, stage)| {
            let seconds = workers.iter().map(|worker| worker.stats().stage_times()[stage]);
            (name, seconds.sum::<f64>() * 1000.0 / std::cmp::max(hashes, 1) as f64)
        };
        let stages = [
            ("pause", Stage::Pause),
            ("rng queue", Stage::RngQueue),
            ("rng delay", Stage::RngDelay),
            ("hasher delay", Stage::HasherDelay),
            ("work", Stage::Work),
            ("network", Stage::Network),
            ("store", Stage::Redis),
        ];
        Self {
            elapsed,
            hashes,
            coins: totals().map(|totals| totals.coins).sum(),
            stages: stages.map(mean).into(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let speed = self.hashes as f64 / seconds.max(f64::EPSILON);
        let Self { hashes, coins, .. } = self;
        writeln!(
            f,
            "Mined {hashes} hashes and {coins} coins in {seconds:.1} s: {speed:.1} hashes/s"
        )?;
        let stages: Vec<_> =
            self.stages.iter().map(|(stage, ms)| format!("{stage} {ms:.2} ms")).collect();
        write!(f, "Mean time of a unit of work: {}", stages.join(", "))
    }
}
