//! How much work rng and the workers could do, predicted from their configured delays, and what
//! limits the speed.

use serde::{Deserialize, Serialize};
use store::Part;

use crate::workers::{Run, Workers};

/// Shorter delays, in seconds, do not limit the speed: that of rng, and those of a unit of work.
const MIN_RNG_DELAY: f64 = 0.01;
const MIN_DELAYS: f64 = 0.02;
/// With a larger share of time in responses without timings, nothing is predicted.
const MAX_UNKNOWN: f64 = 0.01;
/// Rng and the workers are balanced from this ratio of their capacities on...
const BALANCED: f64 = 0.97;
/// ...until the headroom of rng is this share of one worker.
const BALANCED_HEADROOM: f64 = 0.25;
/// A limit is real from this utilisation of rng or of the processors on...
const BUSY: f64 = 0.85;
/// ...until the utilisation falls below this one.
const NO_LONGER_BUSY: f64 = 0.75;
/// Workers that reach this share of their capacity are not limited by anything else.
const NEAR_CAPACITY: f64 = 0.85;

/// Hashes per second that are possible, predicted from configured delays. A capacity is `None` if a
/// delay is unknown or too short to limit the speed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Capacity {
    /// The capacity of rng.
    pub(crate) rng: Option<f64>,
    /// The capacity of the workers, if rng had no queue.
    pub(crate) workers: Option<f64>,
}

/// The part of the application that limits the speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bottleneck {
    /// No worker sends heartbeats.
    NoWorkers,
    /// Not known yet.
    Measuring,
    /// Most workers cannot reach this part.
    Failing(Part),
    /// Some delays or timings are not reported, as by the original.
    Unreported,
    /// Rng lets less through than the workers could do.
    Rng,
    /// Rng lets about as much through as the workers can do.
    Balanced,
    /// The workers can do less than rng lets through.
    Workers,
    /// The processors.
    Cpu,
    /// Something else: the speed is below the capacity, or there are no delays.
    Other,
}

impl Capacity {
    /// The capacities of the rngs and of the workers that do not fail. That of rng is
    /// Σ lanes / delay, multiplied by the mean batch; that of the workers is
    /// Σ loops × batch / (pause + delay of rng + delay of hasher).
    pub(crate) fn of(workers: &Workers) -> Self {
        if !reports_everything(workers) {
            return Self::default();
        }
        let rngs = || workers.rngs.loads.values();
        let lanes_per_second: Option<f64> =
            rngs().map(|rng| Some(f64::from(rng.lanes) / rng.delay?)).sum();
        let delay_of_lanes: Option<f64> =
            rngs().map(|rng| Some(f64::from(rng.lanes) * rng.delay?)).sum();
        let rng_delay = delay_of_lanes.map(|delay| delay / workers.rngs.lanes());
        // A worker that has just started has not heard of hasher yet.
        let hasher_delays = workers.runs.values().filter_map(|run| run.heartbeat.hasher_delay);
        let hasher_delay = hasher_delays.reduce(f64::max);
        let working = || workers.runs.values().filter(|run| run.failing_part.is_none());
        let batch = |run: &Run| f64::from(run.heartbeat.batch.max(1));
        let capacity = |run: &Run| {
            let asleep = run.heartbeat.pause? + rng_delay? + hasher_delay?;
            let units = f64::from(run.heartbeat.loops) * batch(run);
            (asleep >= MIN_DELAYS).then_some(units / asleep)
        };
        let mean_batch = working().map(batch).sum::<f64>() / working().count().max(1) as f64;
        let is_known = |capacity: &f64| capacity.is_finite() && *capacity > 0.0;
        let limits = rng_delay.is_some_and(|delay| delay >= MIN_RNG_DELAY);
        let rng = lanes_per_second.filter(|_| limits).map(|lanes| lanes * mean_batch);
        Self {
            rng: rng.filter(is_known),
            workers: working().map(capacity).sum::<Option<f64>>().filter(is_known),
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

/// Whether all workers and services report their delays and timings. Those of the original do not.
fn reports_everything(workers: &Workers) -> bool {
    let has_pause = |run: &Run| run.heartbeat.pause.is_some();
    let others = workers.others.rate(workers.now).unwrap_or_default();
    workers.runs.values().all(has_pause) && workers.unknown < MAX_UNKNOWN && others == 0.0
}

impl Bottleneck {
    /// The bottleneck of the workers; `before` is that of the previous reading.
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
        let mut failing = workers.count_failing().into_iter();
        if let Some((part, _)) = failing.find(|(_, number)| *number > count / 2) {
            return Self::Failing(part);
        }
        if !reports_everything(workers) {
            return Self::Unreported;
        }
        let threshold = |this| if before == this { NO_LONGER_BUSY } else { BUSY };
        // While a new utilisation is being measured, the prediction has to do.
        let utilisation = workers.rngs.utilisation(workers.since());
        let is_rng_busy = |this| utilisation.is_none_or(|busy| busy >= threshold(this));
        match (capacity.rng, capacity.workers) {
            (None, None) if workers.unit().is_none() => return Self::Measuring,
            (Some(rng), Some(all)) if rng < BALANCED * all && is_rng_busy(Self::Rng) => {
                return Self::Rng;
            }
            (Some(rng), Some(all))
                if (BALANCED..1.0 + BALANCED_HEADROOM / count as f64).contains(&(rng / all))
                    && is_rng_busy(Self::Balanced) =>
            {
                return Self::Balanced;
            }
            _ => {}
        }
        let total = capacity.total();
        let is_near = speed.zip(total).map(|(speed, total)| speed >= NEAR_CAPACITY * total);
        if total.is_some() && is_near != Some(false) {
            return Self::Workers;
        }
        let is_cpu_busy = workers.cpu.is_some_and(|cpu| cpu >= threshold(Self::Cpu));
        if is_cpu_busy { Self::Cpu } else { Self::Other }
    }
}
