//! How much work rng and the workers could do, predicted from their configured delays, and what
//! limits the speed.

use serde::{Deserialize, Serialize};
use store::{Part, Stage};

use crate::workers::{Run, Workers};

/// The workers wait for rng if its capacity is below this share of theirs.
const LIMITED: f64 = 0.97;
/// Rng is almost fully used if it has less than this number of workers to spare.
const SPARE: f64 = 0.25;
/// The processors limit the speed from the first of these utilisations on, until it falls below
/// the second.
const BUSY_CPU: (f64, f64) = (0.9, 0.8);
/// Workers that reach this share of their capacity are not limited by anything else.
const REACHED: f64 = 0.85;
/// Rng limits the speed of workers whose capacity is unknown if it is at least this busy.
const BUSY_RNG: f64 = 0.9;
/// A larger share of unknown time makes a conclusion impossible.
const MAX_UNKNOWN: f64 = 0.5;

/// Hashes per second that are possible; none if a delay is unknown, or if there is none.
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
    /// Rng lets less through than the workers could do.
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
    /// The capacities of the rngs and workers alive.
    pub(crate) fn of(workers: &Workers) -> Self {
        let rngs = || workers.rngs.loads.values().map(|rng| (f64::from(rng.lanes), rng.delay));
        let rng: Option<f64> = rngs().map(|(lanes, delay)| Some(lanes / delay?)).sum();
        let delays: Option<f64> = rngs().map(|(lanes, delay)| Some(lanes * delay?)).sum();
        let rng_delay = delays.map(|delay| delay / workers.rngs.lanes());
        // A worker that has just started has not heard of hasher yet.
        let hasher_delay = workers.runs.values().filter_map(|run| run.heartbeat.hasher_delay);
        let hasher_delay = hasher_delay.reduce(f64::max);
        let capacity = |run: &Run| {
            let asleep = run.heartbeat.delay? + rng_delay? + hasher_delay?;
            Some(f64::from(run.heartbeat.loops) * f64::from(run.heartbeat.batch.max(1)) / asleep)
        };
        let sum = workers.runs.values().map(capacity).sum::<Option<f64>>();
        let batch = workers.runs.values().map(|run| f64::from(run.heartbeat.batch.max(1)));
        let batch = batch.sum::<f64>() / workers.runs.len() as f64;
        Self {
            rng: rng.map(|rng| rng * batch).filter(|rng| rng.is_finite() && *rng > 0.0),
            workers: sum.filter(|sum| sum.is_finite() && *sum > 0.0),
        }
    }

    /// The speed that is possible.
    pub(crate) fn limit(&self) -> Option<f64> {
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
        if count == 0 {
            return Self::NoWorkers;
        }
        if let Some((part, _)) =
            workers.failing().into_iter().find(|(_, number)| 2 * number > count)
        {
            return Self::Failing(part);
        }
        let unknown = workers.unit().map_or(0.0, |unit| {
            unit[Stage::Unknown] / Stage::ALL.iter().map(|&stage| unit[stage]).sum::<f64>()
        });
        let threshold = if before == Self::Cpu { BUSY_CPU.1 } else { BUSY_CPU.0 };
        // Something else may keep the processors busy.
        let is_slow =
            speed.zip(capacity.limit()).is_none_or(|(speed, limit)| speed < REACHED * limit);
        let is_cpu_busy = is_slow && workers.cpu.is_some_and(|cpu| cpu >= threshold);
        match (capacity.rng, capacity.workers) {
            (_, None) if workers.unit().is_none() => Self::Measuring,
            _ if unknown > MAX_UNKNOWN => Self::Unreported,
            (Some(rng), Some(workers)) if rng < LIMITED * workers => Self::Rng,
            (Some(rng), Some(workers)) if rng < workers * (1.0 + SPARE / count as f64) => {
                Self::Balanced
            }
            (_, Some(_)) if !is_cpu_busy => Self::Workers,
            _ if is_cpu_busy => Self::Cpu,
            _ if workers.rngs.utilisation(workers.since()).is_some_and(|busy| busy >= BUSY_RNG) => {
                Self::Rng
            }
            _ => Self::Unlimited,
        }
    }
}
