//! What the worker publishes about itself: where its time goes, which rngs it uses, its last error.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{GaugeGuard, ServedBy, ServerTiming};
use prometheus_client::metrics::gauge::Gauge;
use store::{Heartbeat, Part, Rng, Stage, StageTimes};
use tokio::time::Instant;

use crate::{
    cpu::Cpu,
    ledger::Totals,
    metrics::Metrics,
    settings::Settings,
    transport::{Peer, RequestError},
    unit::{Timing, Unit},
};

/// How long an rng that no longer responds remains in the heartbeat. With many rngs and few workers,
/// an rng may have to wait for a request.
const RNG_LIFETIME: Duration = Duration::from_secs(60);

/// Maximum number of rngs in a heartbeat.
const MAX_RNGS: usize = 500;

/// The statistics of one worker.
pub struct Stats {
    host: String,
    version: String,
    pub(crate) metrics: Metrics,
    /// Requests in flight to rng and to hasher.
    awaiting: [Gauge; Peer::ALL.len()],
    state: Mutex<State>,
    /// Apart from the state, because reading it takes a while.
    cpu: Mutex<Cpu>,
}

#[derive(Default)]
struct State {
    stages: StageTimes,
    /// Each rng by name, and when it last responded.
    rngs: BTreeMap<String, (Rng, Instant)>,
    /// The configured delay of the hasher that responded last.
    hasher_delay: Option<Duration>,
    last_error: Option<(Part, String)>,
}

impl Stats {
    /// Empty statistics of a worker with this name and version.
    pub fn new(host: String, version: String, metrics: Metrics) -> Self {
        Self {
            host,
            version,
            metrics,
            awaiting: Default::default(),
            state: Mutex::default(),
            cpu: Mutex::default(),
        }
    }

    /// Seconds in each stage so far, over all loops.
    pub fn stage_times(&self) -> StageTimes {
        self.state().stages
    }

    /// Adds the stages of a unit of work. A unit that is done shows that the worker mines again.
    pub(crate) fn add_unit(&self, unit: &Unit, is_done: bool) {
        let mut state = self.state();
        for (timing, took) in &unit.timings {
            if let Timing::Stage(stage) = *timing {
                self.add(&mut state.stages, stage, *took);
            }
        }
        if is_done {
            state.last_error = None;
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

    /// Counts a request in flight until the guard is dropped.
    pub(crate) fn await_response(&self, peer: Peer) -> GaugeGuard {
        GaugeGuard::new(&self.awaiting[peer as usize])
    }

    /// Adds a response of an rng.
    pub(crate) fn add_rng(&self, served_by: ServedBy, timing: Option<ServerTiming>) {
        let ServedBy { host, lanes, delay: configured_delay } = served_by;
        let rngs = &mut self.state().rngs;
        if !rngs.contains_key(&host) && rngs.len() < MAX_RNGS {
            let rng = Rng { name: host.clone(), ..Rng::default() };
            rngs.insert(host.clone(), (rng, Instant::now()));
        }
        let Some((rng, seen)) = rngs.get_mut(&host) else { return };
        *seen = Instant::now();
        rng.lanes = lanes.unwrap_or_default();
        rng.delay = configured_delay.map(|delay| delay.as_secs_f64());
        rng.served += 1;
        let ServerTiming { queue, delay, work } = timing.unwrap_or_default();
        rng.queue_seconds += queue.as_secs_f64();
        rng.busy_seconds += (delay + work).as_secs_f64();
    }

    /// Remembers the configured delay of hasher.
    pub(crate) fn set_hasher_delay(&self, delay: Option<Duration>) {
        self.state().hasher_delay = delay;
    }

    /// Ends the error of the store: a flush has succeeded.
    pub(crate) fn clear_store_error(&self) {
        self.state().last_error.take_if(|(part, _)| *part == Part::Redis);
    }

    /// Sets the reason why the worker does not mine.
    pub(crate) fn set_last_error(&self, error: &anyhow::Error) {
        let part = match error.downcast_ref::<RequestError>().map(|error| error.peer) {
            Some(Peer::Rng) => Part::Rng,
            Some(Peer::Hasher) => Part::Hasher,
            // All other errors come from the store.
            None => Part::Redis,
        };
        self.state().last_error = Some((part, format!("{error:#}")));
    }

    /// The heartbeat of a worker with these settings and totals.
    pub(crate) fn heartbeat(&self, settings: &Settings, totals: Totals) -> Heartbeat {
        let [awaiting_rng, awaiting_hasher] =
            Peer::ALL.map(|peer| self.awaiting[peer as usize].get().try_into().unwrap_or(u16::MAX));
        let cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner).usage();
        let mut state = self.state();
        state.rngs.retain(|_, (_, seen)| seen.elapsed() < RNG_LIFETIME);
        Heartbeat {
            host: self.host.clone(),
            version: self.version.clone(),
            loops: settings.concurrency.get(),
            batch: settings.batch.get(),
            pause: Some(settings.delay.as_secs_f64()),
            hasher_delay: state.hasher_delay.map(|delay| delay.as_secs_f64()),
            hashes: totals.hashes,
            coins: totals.coins,
            rngs: state.rngs.values().map(|(rng, _)| rng.clone()).collect(),
            stages: state.stages,
            awaiting_rng,
            awaiting_hasher,
            cpu,
            last_error: state.last_error.as_ref().map(|(_, error)| error.clone()),
            failing_part: state.last_error.as_ref().map(|(part, _)| *part),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
