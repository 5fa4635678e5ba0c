//! How much work rng and the workers could do, predicted from their configured delays, and what
//! limits the speed.

use serde::{Deserialize, Serialize};
use store::{Part, Stage};

use crate::workers::{Run, Workers};

/// Rng and the workers are balanced from this ratio of their capacities on...
const BALANCED: f64 = 0.97;
/// ...until the headroom of rng is this share of one worker.
const BALANCED_HEADROOM: f64 = 0.25;
/// The processors limit the speed from this utilisation on...
const CPU_BUSY: f64 = 0.9;
/// ...until it falls below this one.
const CPU_NO_LONGER_BUSY: f64 = 0.8;
/// Workers that reach this share of their capacity are not limited by the processors, which
/// something else may keep busy.
const NEAR_CAPACITY: f64 = 0.85;
/// Rng limits workers whose capacity is unknown from this utilisation on.
const RNG_BUSY: f64 = 0.9;
/// A larger share of unknown time makes a conclusion impossible.
const MAX_UNKNOWN: f64 = 0.5;

/// Hashes per second that are possible, predicted from configured delays. A capacity is `None` if a
/// delay is unknown or zero.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Capacity {
    /// What rng lets through.
    pub(crate) rng: Option<f64>,
    /// What the workers could do if rng had no queue.
    pub(crate) workers: Option<f64>,
}

/// What limits the speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bottleneck {
    /// No worker sends heartbeats.
    NoWorkers,
    /// Not known yet.
    Measuring,
    /// Most workers cannot reach this part.
    Failing(Part),
    /// Rng lets less through than the workers could do, or is busy and their capacity is unknown.
    Rng,
    /// Rng lets about as much through as the workers can do.
    Balanced,
    /// The workers can do less than rng lets through.
    Workers,
    /// The processors.
    Cpu,
    /// The services do not report their timings.
    Unreported,
    /// Nothing is slow on purpose, and the processors are not busy.
    Unlimited,
}

impl Capacity {
    /// The capacities of the rngs and workers alive. That of rng is Σ lanes / delay, multiplied by
    /// the mean batch; that of the workers is Σ loops × batch / (pause + delay of rng + delay of
    /// hasher).
    pub(crate) fn of(workers: &Workers) -> Self {
        let rngs = || workers.rngs.loads.values();
        let lanes_per_second: Option<f64> =
            rngs().map(|rng| Some(f64::from(rng.lanes) / rng.delay?)).sum();
        let delay_of_lanes: Option<f64> =
            rngs().map(|rng| Some(f64::from(rng.lanes) * rng.delay?)).sum();
        let rng_delay = delay_of_lanes.map(|delay| delay / workers.rngs.lanes());
        // A worker that has just started has not heard of hasher yet.
        let hasher_delays = workers.runs.values().filter_map(|run| run.heartbeat.hasher_delay);
        let hasher_delay = hasher_delays.reduce(f64::max);
        let batch = |run: &Run| f64::from(run.heartbeat.batch.max(1));
        let capacity = |run: &Run| {
            let asleep = run.heartbeat.pause? + rng_delay? + hasher_delay?;
            Some(f64::from(run.heartbeat.loops) * batch(run) / asleep)
        };
        let batches: f64 = workers.runs.values().map(batch).sum();
        let mean_batch = batches / workers.runs.len() as f64;
        let is_known = |capacity: &f64| capacity.is_finite() && *capacity > 0.0;
        Self {
            rng: lanes_per_second.map(|lanes| lanes * mean_batch).filter(is_known),
            workers: workers.runs.values().map(capacity).sum::<Option<f64>>().filter(is_known),
        }
    }

    /// The speed that is possible.
    pub(crate) fn total(&self) -> Option<f64> {
        match (self.rng, self.workers) {
            (Some(rng), Some(workers)) => Some(rng.min(workers)),
            (rng, workers) => rng.or(workers),
        }
    }
}

impl Bottleneck {
    /// What limits the speed of the workers; `before` is what did a second ago.
    pub(crate) fn of(
        workers: &Workers,
        capacity: Capacity,
        speed: Option<f64>,
        before: Self,
    ) -> Self {
        let count = workers.runs.len();
        let failing = workers.count_failing();
        if count == 0 {
            return Self::NoWorkers;
        }
        if let Some((part, _)) = failing.into_iter().find(|(_, number)| 2 * number > count) {
            return Self::Failing(part);
        }
        if let (Some(rng), Some(all)) = (capacity.rng, capacity.workers) {
            if rng < BALANCED * all {
                return Self::Rng;
            }
            if rng < all * (1.0 + BALANCED_HEADROOM / count as f64) {
                return Self::Balanced;
            }
        }
        let Some(unit) = workers.unit() else {
            let is_known = capacity.workers.is_some();
            return if is_known { Self::Workers } else { Self::Measuring };
        };
        let total: f64 = Stage::ALL.iter().map(|&stage| unit[stage]).sum();
        if unit[Stage::Unknown] > MAX_UNKNOWN * total {
            return Self::Unreported;
        }
        let is_slow =
            speed.zip(capacity.total()).is_none_or(|(speed, total)| speed < NEAR_CAPACITY * total);
        let threshold = if before == Self::Cpu { CPU_NO_LONGER_BUSY } else { CPU_BUSY };
        if is_slow && workers.cpu.is_some_and(|cpu| cpu >= threshold) {
            return Self::Cpu;
        }
        let utilisation = workers.rngs.utilisation(workers.since());
        match capacity.workers {
            Some(_) => Self::Workers,
            None if utilisation.is_some_and(|busy| busy >= RNG_BUSY) => Self::Rng,
            None => Self::Unlimited,
        }
    }
}
