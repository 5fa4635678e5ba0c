//! What the worker publishes about itself: where its time goes, which rngs it uses, its last error.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::ServedBy;
use store::{Heartbeat, Rng, Stage, StageTimes};
use tokio::time::Instant;

use crate::{
    ledger::Totals,
    metrics::Metrics,
    unit::{Timing, Unit},
};

/// How long an rng that no longer responds remains in the heartbeat.
const RNG_LIFETIME: Duration = Duration::from_secs(10);

/// Maximum number of rngs in a heartbeat.
const MAX_RNGS: usize = 500;

/// The statistics of one worker.
pub struct Stats {
    host: String,
    version: String,
    pub(crate) metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stages: StageTimes,
    /// When each rng last responded, and its number of lanes.
    rngs: BTreeMap<String, (Instant, u16)>,
    last_error: Option<String>,
}

impl Stats {
    /// Empty statistics of a worker with this name and version.
    pub fn new(host: String, version: String, metrics: Metrics) -> Self {
        Self { host, version, metrics, state: Mutex::default() }
    }

    /// Seconds in each stage so far, over all loops.
    pub fn stage_times(&self) -> StageTimes {
        self.state().stages
    }

    /// Adds the stages of a unit of work.
    pub(crate) fn add_unit(&self, unit: &Unit) {
        let stages = &mut self.state().stages;
        for (timing, took) in &unit.timings {
            if let Timing::Stage(stage) = *timing {
                self.add(stages, stage, *took);
            }
        }
    }

    /// Adds a stage outside a unit of work.
    pub(crate) fn add_stage(&self, stage: Stage, took: Duration) {
        self.add(&mut self.state().stages, stage, took);
    }

    fn add(&self, stages: &mut StageTimes, stage: Stage, took: Duration) {
        stages[stage] += took.as_secs_f64();
        self.metrics.observe(stage, took);
    }

    /// Remembers the rng that served a request.
    pub(crate) fn add_rng(&self, ServedBy { host, lanes }: ServedBy) {
        let rngs = &mut self.state().rngs;
        if rngs.len() < MAX_RNGS || rngs.contains_key(&host) {
            rngs.insert(host, (Instant::now(), lanes));
        }
    }

    /// Sets or clears the reason why the worker does not mine.
    pub(crate) fn set_last_error(&self, error: Option<String>) {
        self.state().last_error = error;
    }

    /// The heartbeat of a worker with these loops and totals.
    pub(crate) fn heartbeat(&self, loops: u16, totals: Totals) -> Heartbeat {
        let mut state = self.state();
        state.rngs.retain(|_, (seen, _)| seen.elapsed() < RNG_LIFETIME);
        let rng = |(name, (_, lanes)): (&String, &(Instant, u16))| Rng {
            name: name.clone(),
            lanes: *lanes,
        };
        Heartbeat {
            host: self.host.clone(),
            version: self.version.clone(),
            loops,
            hashes: totals.hashes,
            coins: totals.coins,
            rngs: state.rngs.iter().map(rng).collect(),
            stages: state.stages,
            last_error: state.last_error.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
