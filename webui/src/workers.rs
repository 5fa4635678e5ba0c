//! What the workers report, and what follows from it: their speeds, where their time goes, and the
//! highest speed that they could reach.

use std::collections::{BTreeMap, VecDeque};

use store::{Heartbeat, Stage, StageTimes, WorkerStatus};

use crate::{
    curve::WINDOW,
    history::SPAN,
    page::{MAX_NAME_CHARS, shorten},
};

/// The number of versions that are shown separately; the work of further ones counts as that of
/// others.
pub(crate) const MAX_VERSIONS: usize = 5;
/// How long a run is stored after its last heartbeat, in seconds, in case it sends another one.
const REMEMBERED: f64 = 60.0;
/// The shortest time from which a speed is computed, in seconds.
const MIN_SPAN: f64 = 1.5;
/// A shorter delay of rng, in seconds, counts as none; the capacity of rng is then unknown.
const MIN_RNG_DELAY: f64 = 0.0001;
/// Workers that spend a larger share of their time in the queue are limited by rng.
const MAX_QUEUE_SHARE: f64 = 0.05;
/// A worker with a larger share of unknown time makes a prediction impossible.
const MAX_UNKNOWN_SHARE: f64 = 0.01;

/// The stages in the order of the page, with their label and their kind.
pub(crate) const STAGES: [(Stage, &str, &str); 8] = [
    (Stage::RngQueue, "queue of rng", WAITING),
    (Stage::Pause, "pause of worker", SLEEPING),
    (Stage::RngDelay, "delay of rng", SLEEPING),
    (Stage::HasherDelay, "delay of hasher", SLEEPING),
    (Stage::Work, "rng and hasher", WORKING),
    (Stage::Network, "network", WORKING),
    (Stage::Redis, "redis", WORKING),
    (Stage::Unknown, "not reported", UNKNOWN),
];
pub(crate) const WAITING: &str = "waiting";
pub(crate) const SLEEPING: &str = "sleeping";
pub(crate) const WORKING: &str = "working";
pub(crate) const UNKNOWN: &str = "unknown";

/// The seconds of all stages together.
pub(crate) fn total(stages: &StageTimes) -> f64 {
    Stage::ALL.iter().map(|&stage| stages[stage]).sum()
}

/// The highest speed that is possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ceiling {
    /// Hashes per second.
    pub(crate) speed: f64,
    /// The capacity of rng divided by that of the workers; below 1 the workers wait for rng.
    pub(crate) rng_ratio: f64,
}

/// The counters of a heartbeat, or their increase between two heartbeats.
struct Progress {
    /// The time of the heartbeat, or between the two, in seconds.
    time: f64,
    hashes: u64,
    stages: StageTimes,
}

/// One run of a worker.
pub(crate) struct Run {
    pub(crate) heartbeat: Heartbeat,
    /// Its recent heartbeats, oldest first.
    recent: VecDeque<Progress>,
    /// When it was last read.
    read: f64,
}

impl Run {
    /// Adds a heartbeat and returns the units of work done since the previous one.
    fn add(&mut self, time: f64, heartbeat: &Heartbeat, now: f64) -> u64 {
        self.read = now;
        let Heartbeat { hashes, stages, .. } = *heartbeat;
        match self.recent.back() {
            Some(last) if last.time == time => return 0,
            // A counter that decreases means the worker restarted.
            Some(last) if last.time > time || last.hashes > hashes => self.recent.clear(),
            _ => {}
        }
        let done = self.recent.back().map_or(0, |last| hashes - last.hashes);
        self.heartbeat = heartbeat.clone();
        self.recent.push_back(Progress { time, hashes, stages });
        while self.recent.get(1).is_some_and(|second| second.time <= time - WINDOW) {
            self.recent.pop_front();
        }
        done
    }

    /// The progress within the recent heartbeats.
    fn progress(&self) -> Option<Progress> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let mut stages = StageTimes::default();
        for stage in Stage::ALL {
            // Heartbeats come from the store, so their values may be nonsense.
            stages[stage] = (last.stages[stage] - first.stages[stage]).clamp(0.0, 1e9);
        }
        Some(Progress { time: last.time - first.time, hashes: last.hashes - first.hashes, stages })
    }

    /// Hashes per second.
    pub(crate) fn speed(&self) -> Option<f64> {
        let progress = self.progress().filter(|progress| progress.time >= MIN_SPAN)?;
        Some(progress.hashes as f64 / progress.time)
    }
}

/// All workers with recent heartbeats.
#[derive(Default)]
pub(crate) struct Workers {
    runs: BTreeMap<String, Run>,
    /// For each version, the units of work that its workers reported, and when one was last read.
    versions: BTreeMap<String, (u64, f64)>,
    now: f64,
}

impl Workers {
    /// Adds the heartbeats that were read at `now`.
    pub(crate) fn add(&mut self, statuses: &[WorkerStatus], now: f64) {
        self.now = now;
        self.versions.retain(|_, (_, read)| (now - *read).abs() < SPAN);
        for WorkerStatus { run, at, heartbeat } in statuses {
            let new = || Run { heartbeat: heartbeat.clone(), recent: VecDeque::new(), read: now };
            let done = self.runs.entry(run.clone()).or_insert_with(new).add(*at, heartbeat, now);
            let version = shorten(&heartbeat.version, MAX_NAME_CHARS);
            if self.versions.contains_key(&version) || self.versions.len() < MAX_VERSIONS {
                let reported = self.versions.entry(version).or_default();
                *reported = (reported.0.saturating_add(done), now);
            }
        }
        self.runs.retain(|_, run| (now - run.read).abs() < REMEMBERED);
    }

    /// The units of work that the workers of each version have reported.
    pub(crate) fn by_version(&self) -> BTreeMap<String, u64> {
        self.versions.iter().map(|(version, (hashes, _))| (version.clone(), *hashes)).collect()
    }

    /// The workers alive, by run.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&String, &Run)> {
        self.runs.iter().filter(|(_, run)| run.read == self.now)
    }

    fn progress(&self) -> impl Iterator<Item = (&Heartbeat, Progress)> {
        self.alive().filter_map(|(_, run)| Some((&run.heartbeat, run.progress()?)))
    }

    /// The mean time of a recent unit of work by stage, over all workers.
    pub(crate) fn unit(&self) -> Option<StageTimes> {
        let (mut units, mut unit) = (0.0, StageTimes::default());
        for (_, progress) in self.progress() {
            units += progress.hashes as f64;
            Stage::ALL.iter().for_each(|&stage| unit[stage] += progress.stages[stage]);
        }
        let measured = units > 0.0 && total(&unit) > 0.0;
        Stage::ALL.iter().for_each(|&stage| unit[stage] /= units);
        measured.then_some(unit)
    }

    /// The highest speed of the workers alive; none if one of them reports too little.
    pub(crate) fn ceiling(&self) -> Option<Ceiling> {
        let unit = self.unit()?;
        let (delay, queue) = (unit[Stage::RngDelay], unit[Stage::RngQueue]);
        if delay < MIN_RNG_DELAY && queue > MAX_QUEUE_SHARE * total(&unit) {
            return None;
        }
        let (mut workers, mut lanes) = (0.0, BTreeMap::new());
        for (heartbeat, progress) in self.progress() {
            let total = total(&progress.stages);
            let busy = total - progress.stages[Stage::RngQueue];
            let idle = progress.hashes == 0;
            let unknown = progress.stages[Stage::Unknown];
            if unknown > MAX_UNKNOWN_SHARE * total || (!idle && busy <= 0.0) {
                return None;
            }
            if !idle {
                workers += f64::from(heartbeat.loops) * progress.hashes as f64 / busy;
            }
            for rng in &heartbeat.rngs {
                let most = lanes.entry(&rng.name).or_insert(1);
                *most = rng.lanes.max(*most);
            }
        }
        let lanes: f64 = lanes.into_values().map(f64::from).sum();
        let rng = if delay < MIN_RNG_DELAY { f64::INFINITY } else { lanes / delay };
        // Zero lanes with a delay: the rngs do not report their names.
        (rng > 0.0).then(|| Ceiling { speed: rng.min(workers), rng_ratio: rng / workers })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use store::Rng;

    use super::*;

    pub(crate) fn stage_times(times: &[(Stage, f64)]) -> StageTimes {
        let mut stages = StageTimes::default();
        times.iter().for_each(|&(stage, seconds)| stages[stage] = seconds);
        stages
    }

    /// The heartbeat of a worker with default settings after `seconds`: each unit of work takes
    /// 0.31 s and the time in the queue.
    pub(crate) fn heartbeat(seconds: f64, queue: f64) -> Heartbeat {
        let hashes = (seconds / (0.31 + queue)).floor();
        Heartbeat {
            host: "worker-x2z".to_owned(),
            version: "v0.1".to_owned(),
            loops: 1,
            hashes: hashes as u64,
            rngs: vec![Rng { name: "rng-a".to_owned(), lanes: 1 }],
            stages: stage_times(&[
                (Stage::Pause, 0.1 * hashes),
                (Stage::RngQueue, queue * hashes),
                (Stage::RngDelay, 0.1 * hashes),
                (Stage::HasherDelay, 0.1 * hashes),
                (Stage::Network, 0.01 * hashes),
            ]),
            ..Heartbeat::default()
        }
    }

    pub(crate) fn status(run: &str, at: f64, heartbeat: Heartbeat) -> WorkerStatus {
        WorkerStatus { run: run.to_owned(), at, heartbeat }
    }

    /// The state after twenty seconds with a worker for each queue time.
    fn after_20_s(queues: &[f64], change: impl Fn(usize, &mut Heartbeat)) -> Workers {
        let mut workers = Workers::default();
        for second in 0..=20 {
            let now = f64::from(second);
            let statuses = queues.iter().enumerate().map(|(number, queue)| {
                let mut heartbeat = heartbeat(1000.0 + now, *queue);
                change(number, &mut heartbeat);
                status(&format!("run-{number}"), now, heartbeat)
            });
            workers.add(&statuses.collect::<Vec<_>>(), now);
        }
        workers
    }

    fn ceiling(queues: &[f64], change: impl Fn(usize, &mut Heartbeat)) -> Option<f64> {
        after_20_s(queues, change).ceiling().map(|ceiling| (ceiling.speed * 10.0).round() / 10.0)
    }

    #[test]
    fn the_ceiling_is_the_capacity_of_the_workers_or_of_rng() {
        let unchanged = |_: usize, _: &mut Heartbeat| ();
        assert_eq!(ceiling(&[], unchanged), None);
        assert_eq!(ceiling(&[0.0], unchanged), Some(3.2));
        assert_eq!(ceiling(&[0.0; 3], unchanged), Some(9.7));
        // The time in the queue does not reduce the capacity of the workers.
        assert_eq!(ceiling(&[0.1], unchanged), Some(3.2));
        assert_eq!(ceiling(&[0.69; 10], unchanged), Some(10.0));
    }

    #[test]
    fn every_rng_that_a_worker_uses_adds_its_lanes() {
        let two = |number: usize, heartbeat: &mut Heartbeat| {
            heartbeat.rngs[0].name = ["rng-a", "rng-b"][number % 2].to_owned();
        };
        assert_eq!(ceiling(&[0.2; 10], two), Some(20.0));
        let lanes = |_: usize, heartbeat: &mut Heartbeat| heartbeat.rngs[0].lanes = 3;
        assert_eq!(ceiling(&[0.2; 10], lanes), Some(30.0));
        let none = |_: usize, heartbeat: &mut Heartbeat| heartbeat.rngs.clear();
        assert_eq!(ceiling(&[0.2; 10], none), None);
    }

    #[test]
    fn a_slow_worker_lowers_only_its_own_part_of_the_ceiling() {
        let slow = |number: usize, heartbeat: &mut Heartbeat| {
            if number == 0 {
                heartbeat.hashes = (heartbeat.hashes as f64 * 0.31 / 1.31) as u64;
                let units = heartbeat.hashes as f64;
                heartbeat.stages = stage_times(&[
                    (Stage::Pause, 1.1 * units),
                    (Stage::RngDelay, 0.1 * units),
                    (Stage::HasherDelay, 0.1 * units),
                    (Stage::Network, 0.01 * units),
                ]);
            }
        };
        // 1 / 0.31 + 1 / 1.31
        assert_eq!(ceiling(&[0.0; 2], slow), Some(4.0));
    }

    #[test]
    fn without_a_delay_of_rng_the_ceiling_is_the_capacity_of_the_workers() {
        let fast = |_: usize, heartbeat: &mut Heartbeat| heartbeat.stages[Stage::RngDelay] = 0.0;
        assert_eq!(ceiling(&[0.0; 20], fast), Some(95.2));
        let workers = after_20_s(&[0.0; 20], fast);
        assert_eq!(workers.ceiling().unwrap().rng_ratio, f64::INFINITY);
    }

    #[test]
    fn workers_that_wait_for_an_rng_without_a_delay_have_no_ceiling() {
        let fast = |_: usize, heartbeat: &mut Heartbeat| heartbeat.stages[Stage::RngDelay] = 0.0;
        assert_eq!(ceiling(&[0.1; 20], fast), None);
    }

    #[test]
    fn one_worker_with_unknown_times_means_no_ceiling() {
        let original = |number: usize, heartbeat: &mut Heartbeat| {
            if number == 2 {
                heartbeat.stages[Stage::Unknown] = heartbeat.stages[Stage::RngDelay];
            }
        };
        assert_eq!(ceiling(&[0.0; 3], original), None);
        let silent = |_: usize, heartbeat: &mut Heartbeat| heartbeat.stages = StageTimes::default();
        assert_eq!(ceiling(&[0.0; 3], silent), None);
        assert_eq!(after_20_s(&[0.0; 3], silent).unit(), None);
    }

    #[test]
    fn the_mean_unit_of_work_covers_the_last_ten_seconds() {
        let workers = after_20_s(&[0.69; 10], |_, _| ());
        let unit = workers.unit().unwrap();
        let expected = [0.1, 0.69, 0.1, 0.1, 0.0, 0.01, 0.0, 0.0];
        for (stage, expected) in Stage::ALL.into_iter().zip(expected) {
            assert!((unit[stage] - expected).abs() < 1e-9, "{unit:?}");
        }
        let speeds: Vec<_> = workers.alive().filter_map(|(_, run)| run.speed()).collect();
        assert!(speeds.len() == 10 && speeds.iter().all(|speed| (0.9..=1.1).contains(speed)));
    }

    #[test]
    fn work_counts_once_while_workers_start_stop_and_restart() {
        let mut workers = Workers::default();
        let mut add = |now: f64, runs: &[(&str, u64)]| {
            let statuses = runs.iter().map(|(run, hashes)| {
                status(run, now, Heartbeat { hashes: *hashes, ..heartbeat(0.0, 0.0) })
            });
            workers.add(&statuses.collect::<Vec<_>>(), now);
            (workers.by_version()["v0.1"], workers.alive().count())
        };
        assert_eq!(add(0.0, &[("a", 1000)]), (0, 1));
        assert_eq!(add(1.0, &[("a", 1003), ("b", 5)]), (3, 2));
        assert_eq!(add(1.0, &[("a", 1003), ("b", 5)]), (3, 2));
        assert_eq!(add(2.0, &[("b", 9)]), (7, 1));
        assert_eq!(add(3.0, &[("b", 12), ("a", 1006)]), (13, 2));
        // A counter that decreases means the worker restarted.
        assert_eq!(add(4.0, &[("b", 2)]), (13, 1));
        assert_eq!(add(5.0, &[("b", 4)]), (15, 1));
        assert_eq!(add(90.0, &[]), (15, 0));
        // The run was forgotten, so its work in between does not count as recent.
        assert_eq!(add(91.0, &[("b", 1000)]), (15, 1));
    }

    #[test]
    fn a_version_has_a_band_until_it_leaves_the_chart() {
        let mut workers = Workers::default();
        let mut add = |now: f64, versions: &[&str]| {
            let statuses = versions.iter().map(|version| {
                let version = (*version).to_owned();
                status(&version.clone(), now, Heartbeat { version, ..heartbeat(now, 0.0) })
            });
            workers.add(&statuses.collect::<Vec<_>>(), now);
            workers.by_version().into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(add(0.0, &["v2", "v1"]), "v1 v2");
        assert_eq!(add(1.0, &["v3", "v4", "v5", "v6"]), "v1 v2 v3 v4 v5");
        assert_eq!(add(300.0, &["v2", "v6"]), "v1 v2 v3 v4 v5");
        assert_eq!(add(320.0, &["v6"]), "v2 v6");
    }

    #[test]
    fn nonsense_from_the_store_gives_no_infinite_number() {
        let mut workers = Workers::default();
        for (now, sign) in [(0.0, -1.0), (1.0, 1.0), (2.0, -1.0), (3.0, 1.0)] {
            let mut stages = heartbeat(1.0, 0.0).stages;
            for stage in [Stage::Pause, Stage::RngQueue, Stage::RngDelay] {
                stages[stage] = f64::MAX * sign;
            }
            let hashes = if sign > 0.0 { u64::MAX } else { 0 };
            let heartbeat = Heartbeat { hashes, loops: u16::MAX, stages, ..heartbeat(0.0, 0.0) };
            workers.add(&[status("a", now, heartbeat)], now);
            let is_finite = |unit: StageTimes| Stage::ALL.iter().all(|&s| unit[s].is_finite());
            assert!(workers.unit().is_none_or(is_finite));
            assert!(workers.ceiling().is_none_or(|ceiling| ceiling.speed.is_finite()));
        }
    }
}
