//! From heartbeats to rates: of each worker, and of the stages of a unit of work.

use std::{collections::BTreeMap, mem};

use store::{Heartbeat, Part, Snapshot, Stage, StageTimes, WorkerStatus};

use crate::{
    rates::{MIN_WINDOW, Series, WINDOW},
    rngs::{Responses, Rngs},
};

/// The version of workers that send no heartbeats, and of those beyond the maximum.
pub(crate) const OTHERS: &str = "";
/// While members change all the time, rates are those of this last time, in seconds.
const RESTLESS: f64 = 4.0;
/// Counts of workers without heartbeats arrive in lumps, so their rate takes longer, in seconds.
const MIN_COUNTED: f64 = 6.0;
/// Without any progress for this long, in seconds, the service that loops wait for is failing.
const STALLED: f64 = 3.0;

/// One run of a worker.
pub(crate) struct Run {
    pub(crate) heartbeat: Heartbeat,
    /// Which part it cannot reach.
    pub(crate) failing: Option<Part>,
    at: f64,
    hashes: Series,
}

/// All workers with recent heartbeats.
#[derive(Default)]
pub(crate) struct Workers {
    pub(crate) now: f64,
    pub(crate) runs: BTreeMap<String, Run>,
    pub(crate) rngs: Rngs,
    /// How busy the processors are, from 0 to 1, smoothed.
    pub(crate) cpu: Option<f64>,
    hashes: Series,
    stages: [Series; Stage::ALL.len()],
    /// Work that no heartbeat reports.
    others: Series,
    /// The last counters: hashes, and those that our workers added.
    counted: Option<(u64, u64)>,
    members: (Vec<(String, Option<Part>)>, Vec<String>),
    /// When the members last changed.
    changed: f64,
    /// When the speed was last known.
    measured: f64,
    /// When a worker last did something, and when there was one.
    progressed: f64,
    populated: f64,
}

impl Workers {
    /// Adds what was read from the store.
    pub(crate) fn add(&mut self, snapshot: &Snapshot) {
        if snapshot.now < self.now {
            // The clock of the store went back.
            *self = Self::default();
        }
        let is_first = self.now == 0.0;
        if snapshot.now - self.now > RESTLESS {
            // What happened in between is unknown.
            (self.changed, self.measured) = (snapshot.now, snapshot.now);
        }
        self.now = snapshot.now;
        let (mut done, mut stages) = (0.0, StageTimes::default());
        let mut responses = Responses::default();
        let mut runs = mem::take(&mut self.runs);
        for WorkerStatus { run, at, heartbeat } in &snapshot.workers {
            // A counter that decreases means the worker restarted.
            let known = runs.remove(run).filter(|known| known.heartbeat.hashes <= heartbeat.hashes);
            let mut state = known.unwrap_or_else(|| Run::new(heartbeat.clone()));
            let before = mem::replace(&mut state.heartbeat, heartbeat.clone());
            let increase = (heartbeat.hashes - before.hashes) as f64;
            if state.at != *at {
                state.hashes.add(*at, increase);
            }
            state.at = *at;
            done += increase;
            for stage in Stage::ALL {
                stages[stage] += heartbeat.stages[stage] - before.stages[stage];
            }
            responses.add(&before.rngs, &heartbeat.rngs);
            self.runs.insert(run.clone(), state);
        }
        self.hashes.add(self.now, done);
        for stage in Stage::ALL {
            self.stages[stage as usize].add(self.now, stages[stage]);
        }
        if done > 0.0 || is_first || self.runs.is_empty() {
            self.progressed = self.now;
        }
        // Without progress, nothing new is known about the rngs.
        self.rngs.add(self.now, &responses, self.progressed == self.now);
        self.add_failures();
        self.add_counters(snapshot);
        let cpus: Vec<f64> = self.runs.values().filter_map(|run| run.heartbeat.cpu).collect();
        let mean = cpus.iter().sum::<f64>() / cpus.len() as f64;
        self.cpu = (!cpus.is_empty()).then(|| self.cpu.map_or(mean, |cpu| 0.7 * cpu + 0.3 * mean));

        let runs = self.runs.iter().map(|(run, state)| (run.clone(), state.failing)).collect();
        let members = (runs, self.rngs.loads.keys().cloned().collect());
        if self.members != members {
            (self.members, self.changed) = (members, self.now);
        }
        if self.runs.values().all(|run| run.hashes.rate(self.changed, MIN_WINDOW).is_some()) {
            self.measured = self.now;
        }
    }

    /// Decides which part each worker cannot reach.
    fn add_failures(&mut self) {
        let sleeps = self.runs.values().map(|run| run.heartbeat.delay.unwrap_or_default());
        let delays = self.rngs.loads.values().filter_map(|rng| rng.delay);
        let longest = sleeps.fold(0.0, f64::max) + delays.fold(0.0, f64::max);
        let is_stalled = self.now - self.progressed > STALLED.max(3.0 * longest);
        for run in self.runs.values_mut() {
            let Heartbeat { awaiting_rng, awaiting_hasher, failing, .. } = run.heartbeat;
            run.failing = match (awaiting_rng, awaiting_hasher) {
                _ if failing.is_some() || !is_stalled => failing,
                (_, 1..) => Some(Part::Hasher),
                (1.., _) => Some(Part::Rng),
                (0, 0) => None,
            };
        }
    }

    fn add_counters(&mut self, snapshot: &Snapshot) {
        if !self.runs.is_empty() {
            self.populated = self.now;
        }
        let counted = snapshot.hashes().zip(snapshot.added);
        let unreported =
            counted.zip(self.counted).map(|((hashes, added), (hashes_before, before))| {
                // Heartbeats may be missing although workers add their hashes.
                let is_empty = self.now - self.populated > RESTLESS;
                let added = if is_empty { 0 } else { added.saturating_sub(before) };
                hashes.checked_sub(hashes_before).map(|hashes| hashes.saturating_sub(added))
            });
        self.counted = counted;
        match unreported {
            Some(None) => self.others = Series::default(),
            unreported => self.others.add(self.now, unreported.flatten().unwrap_or(0) as f64),
        }
    }

    /// From when on rates are measured: since the last change.
    pub(crate) fn since(&self) -> f64 {
        if self.is_restless() { self.changed.min(self.now - RESTLESS) } else { self.changed }
    }

    fn is_restless(&self) -> bool {
        self.now - self.measured > RESTLESS
    }

    /// Hashes per second by version, others included; none while they are being measured.
    pub(crate) fn speeds(&self) -> Option<BTreeMap<&str, f64>> {
        let mut speeds = BTreeMap::new();
        for run in self.runs.values() {
            let speed = match self.speed(run) {
                // A worker that has just started does not hide the others.
                None if self.is_restless() => 0.0,
                speed => speed?,
            };
            // Older workers count theirs as others do.
            if run.heartbeat.delay.is_some() {
                *speeds.entry(run.heartbeat.version.as_str()).or_default() += speed;
            }
        }
        let others = match self.others.is_constant() {
            true if self.runs.is_empty() && self.counted.is_none() => return None,
            true => 0.0,
            false => self.others.rate(self.now - WINDOW, MIN_COUNTED)?,
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
    pub(crate) fn failing(&self) -> BTreeMap<Part, usize> {
        let mut failing = BTreeMap::new();
        for part in self.runs.values().filter_map(|run| run.failing) {
            *failing.entry(part).or_default() += 1;
        }
        failing
    }
}

impl Run {
    fn new(heartbeat: Heartbeat) -> Self {
        Self { heartbeat, failing: None, at: f64::MIN, hashes: Series::default() }
    }
}
