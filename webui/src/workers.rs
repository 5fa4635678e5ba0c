//! From heartbeats to rates: of each worker, and of the stages of a unit of work.

use std::{collections::BTreeMap, mem};

use store::{Heartbeat, Part, Snapshot, Stage, StageTimes, WorkerStatus};

use crate::{
    others::Others,
    rates::{MIN_WINDOW, Series},
    rngs::{Responses, Rngs},
};

/// The version of workers that send no heartbeats, and of those beyond the maximum.
pub(crate) const OTHERS: &str = "";
/// While workers or rngs keep changing, rates are measured over this time, in seconds.
const CHANGING_WINDOW: f64 = 4.0;
/// What happened in a longer time between two readings is unknown, in seconds.
const MAX_PAUSE: f64 = 4.0;
/// Without progress of any worker for this time, in seconds, or for three times the delays if that
/// is longer, the service with requests in flight counts as failing.
const STALLED: f64 = 6.0;
/// Heartbeats come back within this time after a pause, in seconds.
const SETTLE_TIME: f64 = 5.0;
/// The weight of a new value in the moving average of the CPU utilisation.
const CPU_WEIGHT: f64 = 0.3;

/// One run of a worker.
pub(crate) struct Run {
    pub(crate) heartbeat: Heartbeat,
    /// The part that it cannot reach.
    pub(crate) failing_part: Option<Part>,
    /// When the heartbeat arrived, in seconds since the Unix epoch.
    at: f64,
    hashes: Series,
}

/// All workers with recent heartbeats.
#[derive(Default)]
pub(crate) struct Workers {
    /// The time of the last reading, in seconds since the Unix epoch, as all times here.
    pub(crate) now: f64,
    pub(crate) runs: BTreeMap<String, Run>,
    pub(crate) rngs: Rngs,
    /// The mean CPU utilisation of their hosts, from 0 to 1, as a moving average.
    pub(crate) cpu: Option<f64>,
    hashes: Series,
    stages: [Series; Stage::ALL.len()],
    pub(crate) others: Others,
    /// The share of time in responses without timings, from 0 to 1, when it was last known.
    pub(crate) unknown: f64,
    /// When workers may still be coming back after a pause.
    settles_until: f64,
    members: Members,
    /// When the members last changed.
    changed: f64,
    /// When every worker last had a rate since the last change.
    measured: f64,
    /// When a worker last completed a unit of work.
    progressed: f64,
}

/// What a change of the speed may come from: workers, whether they fail, and rngs.
#[derive(Default, PartialEq)]
struct Members {
    workers: Vec<(String, Option<Part>)>,
    rngs: Vec<String>,
}

impl Workers {
    /// Adds what was read from the store.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        if snapshot.now < self.now {
            // The clock of the store went back.
            *self = Self::default();
        }
        let is_first = self.now == 0.0;
        if snapshot.now - self.now > MAX_PAUSE {
            (self.changed, self.measured) = (snapshot.now, snapshot.now);
            self.others = Others::default();
            // At the first reading, there was no pause.
            self.settles_until = if is_first { 0.0 } else { snapshot.now + SETTLE_TIME };
        }
        self.now = snapshot.now;
        let statuses = snapshot.workers.as_deref().unwrap_or_default();
        let (done, responses) = self.add_heartbeats(statuses);
        if done > 0.0 || is_first || self.runs.is_empty() {
            self.progressed = self.now;
        }
        // Without progress, nothing new is known about the rngs.
        self.rngs.add(self.now, &responses, self.progressed == self.now);
        self.others.add(snapshot);
        self.update_failing_parts();
        self.update_cpu();
        let workers = self.runs.iter().map(|(run, worker)| (run.clone(), worker.failing_part));
        let members =
            Members { workers: workers.collect(), rngs: self.rngs.loads.keys().cloned().collect() };
        if self.members != members {
            (self.members, self.changed) = (members, self.now);
        }
        if let Some(unit) = self.unit() {
            self.unknown = unit[Stage::Unknown] / unit.total().max(f64::MIN_POSITIVE);
        }
        if self.runs.values().all(|run| run.hashes.rate(self.changed, MIN_WINDOW).is_some()) {
            self.measured = self.now;
        }
    }

    /// Whether workers may still be coming back after a pause, so that their number says nothing.
    pub(crate) fn is_settling(&self) -> bool {
        self.now < self.settles_until
    }

    /// Returns the units of work that were done since the last heartbeats, and the responses of
    /// rngs.
    fn add_heartbeats<'a>(&mut self, workers: &'a [WorkerStatus]) -> (f64, Responses<'a>) {
        let (mut done, mut stages) = (0.0, StageTimes::default());
        let mut responses = Responses::default();
        let mut previous = mem::take(&mut self.runs);
        for WorkerStatus { run, at, heartbeat } in workers {
            // A counter that decreases means the worker restarted.
            let known = previous.remove(run);
            let known = known.filter(|known| known.heartbeat.hashes <= heartbeat.hashes);
            let mut worker = known.unwrap_or_else(|| Run::new(heartbeat.clone()));
            let before = mem::replace(&mut worker.heartbeat, heartbeat.clone());
            let increase = (heartbeat.hashes - before.hashes) as f64;
            if worker.at != *at {
                worker.hashes.add(*at, increase);
            }
            worker.at = *at;
            done += increase;
            for stage in Stage::ALL {
                stages[stage] += heartbeat.stages[stage] - before.stages[stage];
            }
            responses.add(&before.rngs, &heartbeat.rngs);
            self.runs.insert(run.clone(), worker);
        }
        self.hashes.add(self.now, done);
        for stage in Stage::ALL {
            self.stages[stage as usize].add(self.now, stages[stage]);
        }
        (done, responses)
    }

    fn update_failing_parts(&mut self) {
        let pauses = self.runs.values().map(|run| run.heartbeat.pause.unwrap_or_default());
        let hashers = self.runs.values().filter_map(|run| run.heartbeat.hasher_delay);
        let delays = self.rngs.loads.values().filter_map(|rng| rng.delay);
        let longest =
            pauses.fold(0.0, f64::max) + hashers.fold(0.0, f64::max) + delays.fold(0.0, f64::max);
        let is_stalled = self.now - self.progressed > STALLED.max(3.0 * longest);
        for run in self.runs.values_mut() {
            let heartbeat = &run.heartbeat;
            run.failing_part = if heartbeat.failing_part.is_some() || !is_stalled {
                heartbeat.failing_part
            } else if heartbeat.awaiting_hasher > 0 {
                // Without hasher, some loops may still wait for rng.
                Some(Part::Hasher)
            } else {
                (heartbeat.awaiting_rng > 0).then_some(Part::Rng)
            };
        }
    }

    fn update_cpu(&mut self) {
        let values: Vec<f64> = self.runs.values().filter_map(|run| run.heartbeat.cpu).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let average = self.cpu.map_or(mean, |cpu| cpu + CPU_WEIGHT * (mean - cpu));
        self.cpu = Some(average.clamp(0.0, 1.0)).filter(|cpu| cpu.is_finite());
    }

    /// The time from which on rates are measured: the last change.
    pub(crate) fn since(&self) -> f64 {
        if self.keeps_changing() {
            self.changed.min(self.now - CHANGING_WINDOW)
        } else {
            self.changed
        }
    }

    fn keeps_changing(&self) -> bool {
        self.now - self.measured > CHANGING_WINDOW
    }

    /// Hashes per second by version, others included; none while they are being measured.
    pub(crate) fn speeds(&self) -> Option<BTreeMap<&str, f64>> {
        let mut speeds = BTreeMap::new();
        for run in self.runs.values() {
            let speed = match self.speed(run) {
                // A worker that has just started does not hide the others.
                None if self.keeps_changing() => 0.0,
                speed => speed?,
            };
            // The work of older workers, without a pause in their heartbeats, is that of others.
            if run.heartbeat.pause.is_some() {
                *speeds.entry(run.heartbeat.version.as_str()).or_default() += speed;
            }
        }
        let others = match self.others.rate(self.now) {
            None if self.others.is_unknown() && !self.runs.is_empty() => 0.0,
            others => others?,
        };
        if others > 0.0 {
            *speeds.entry(OTHERS).or_default() += others;
        }
        Some(speeds)
    }

    /// Hashes per second of a worker.
    pub(crate) fn speed(&self, run: &Run) -> Option<f64> {
        run.hashes.rate(self.since(), MIN_WINDOW)
    }

    /// The mean time of a unit of work by stage, in seconds, over all workers.
    pub(crate) fn unit(&self) -> Option<StageTimes> {
        let hashes = self.hashes.rate(self.since(), MIN_WINDOW).filter(|hashes| *hashes > 0.0)?;
        let mut unit = StageTimes::default();
        for stage in Stage::ALL {
            unit[stage] = self.stages[stage as usize].rate(self.since(), MIN_WINDOW)? / hashes;
        }
        Some(unit)
    }

    /// The number of workers that cannot reach each part.
    pub(crate) fn count_failing(&self) -> BTreeMap<Part, usize> {
        let mut failing = BTreeMap::new();
        for part in self.runs.values().filter_map(|run| run.failing_part) {
            *failing.entry(part).or_default() += 1;
        }
        failing
    }
}

impl Run {
    fn new(heartbeat: Heartbeat) -> Self {
        Self { heartbeat, failing_part: None, at: f64::MIN, hashes: Series::default() }
    }
}
