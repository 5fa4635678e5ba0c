//! What the application says when it ends.

use std::{fmt, sync::Arc, time::Duration};

use store::StageTimes;
use worker::{Http, Worker};

/// What was mined, how fast, and where the time went.
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
    pub(crate) fn new(elapsed: Duration, workers: &[Arc<Worker<Http>>]) -> Self {
        let totals: Vec<_> = workers.iter().map(|worker| worker.total()).collect();
        let hashes: u64 = totals.iter().map(|total| total.0).sum();
        let mean = |stage: fn(&StageTimes) -> f64| {
            let seconds = workers.iter().map(|worker| stage(&worker.insight().stages()));
            seconds.sum::<f64>() * 1000.0 / hashes.max(1) as f64
        };
        Self {
            elapsed,
            hashes,
            coins: totals.iter().map(|total| total.1).sum(),
            stages: vec![
                ("pause", mean(|stages| stages.pause)),
                ("rng queue", mean(|stages| stages.rng_queue)),
                ("rng delay", mean(|stages| stages.rng_delay)),
                ("hasher delay", mean(|stages| stages.hasher_delay)),
                ("work", mean(|stages| stages.work)),
                ("network", mean(|stages| stages.network)),
                ("store", mean(|stages| stages.redis)),
            ],
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
