//! What the workers say of themselves, and what follows from it: speeds, where the time goes, and
//! the most that they could do.

use std::collections::{BTreeMap, VecDeque};

use store::{Sighting, StageTimes, Worker};

use crate::{
    curve::WINDOW,
    history::SPAN,
    page::{NAME, short},
};

/// How many versions are told apart at once; the work of any further one counts as unclaimed.
pub(crate) const MOST_VERSIONS: usize = 5;
/// How long a worker that is gone is remembered, in seconds, in case it comes back.
const REMEMBERED: f64 = 60.0;
/// Fewer seconds make no speed.
const SHORTEST: f64 = 1.5;
/// A delay of rng shorter than this, in seconds, is none, and then nobody knows what limits rng.
const NO_DELAY: f64 = 0.0001;
/// Waiting longer than this share of the time means that rng is a limit, though nobody knows which.
const MOST_QUEUE: f64 = 0.05;
/// A worker that cannot tell where this share of its time went knows too little for a prediction.
const MOST_UNKNOWN: f64 = 0.01;

/// The stages of a unit of work, and what the loop does meanwhile.
pub(crate) const STAGES: [(&str, &str); 8] = [
    ("queue of rng", WAITING),
    ("pause of worker", SLEEPING),
    ("delay of rng", SLEEPING),
    ("delay of hasher", SLEEPING),
    ("rng and hasher", WORKING),
    ("network", WORKING),
    ("redis", WORKING),
    ("nobody says", UNKNOWN),
];
pub(crate) const WAITING: &str = "waiting";
pub(crate) const SLEEPING: &str = "sleeping";
pub(crate) const WORKING: &str = "working";
pub(crate) const UNKNOWN: &str = "unknown";

const QUEUE_AT: usize = 0;
const RNG_DELAY_AT: usize = 2;
const UNKNOWN_AT: usize = 7;

/// Seconds in each stage, in the order of [`STAGES`].
pub(crate) type Seconds = [f64; 8];

fn seconds(times: &StageTimes) -> Seconds {
    let StageTimes { pause, rng_queue, rng_delay, hasher_delay, work, network, redis, unknown } =
        *times;
    [rng_queue, pause, rng_delay, hasher_delay, work, network, redis, unknown]
}

/// The most that can be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ceiling {
    /// Hashes per second.
    pub(crate) speed: f64,
    /// How much faster rng is than the workers; less than 1 where they wait for it.
    pub(crate) room: f64,
}

/// What one worker said at one time, or what became more between two times.
struct Mark {
    at: f64,
    hashes: u64,
    seconds: Seconds,
}

/// One run of a worker.
pub(crate) struct Run {
    pub(crate) worker: Worker,
    /// What it said lately, oldest first.
    marks: VecDeque<Mark>,
    /// When it was last read.
    read: f64,
}

impl Run {
    /// Takes down what the worker said and returns how many units of work that is more than before.
    fn note(&mut self, at: f64, worker: &Worker, now: f64) -> u64 {
        self.read = now;
        match self.marks.back() {
            Some(last) if last.at == at => return 0,
            // Nobody counts backwards; who does has begun anew.
            Some(last) if last.at > at || last.hashes > worker.hashes => self.marks.clear(),
            _ => {}
        }
        let done = self.marks.back().map_or(0, |last| worker.hashes - last.hashes);
        self.worker = worker.clone();
        let seconds = seconds(&worker.stages);
        self.marks.push_back(Mark { at, hashes: worker.hashes, seconds });
        while self.marks.get(1).is_some_and(|second| second.at <= at - WINDOW) {
            self.marks.pop_front();
        }
        done
    }

    /// What the run did lately.
    fn lately(&self) -> Option<Mark> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        // What anybody may write into the store need not make sense.
        let spent = |i: usize| (last.seconds[i] - first.seconds[i]).clamp(0.0, 1e9);
        let (at, hashes) = (last.at - first.at, last.hashes - first.hashes);
        Some(Mark { at, hashes, seconds: std::array::from_fn(spent) })
    }

    /// Hashes per second.
    pub(crate) fn speed(&self) -> Option<f64> {
        let lately = self.lately().filter(|lately| lately.at >= SHORTEST)?;
        Some(lately.hashes as f64 / lately.at)
    }
}

/// All workers that were seen lately.
#[derive(Default)]
pub(crate) struct Workers {
    runs: BTreeMap<String, Run>,
    /// For each version, the units of work that its workers claim, and when one was last seen.
    claimed: BTreeMap<String, (u64, f64)>,
    now: f64,
}

impl Workers {
    /// Takes down what the workers say as of `now`.
    pub(crate) fn add(&mut self, sightings: &[Sighting], now: f64) {
        self.now = now;
        self.claimed.retain(|_, (_, seen)| (now - *seen).abs() < SPAN);
        for Sighting { run, at, worker } in sightings {
            let new = || Run { worker: worker.clone(), marks: VecDeque::new(), read: now };
            let done = self.runs.entry(run.clone()).or_insert_with(new).note(*at, worker, now);
            let version = short(&worker.version, NAME);
            if self.claimed.contains_key(&version) || self.claimed.len() < MOST_VERSIONS {
                let claimed = self.claimed.entry(version).or_default();
                *claimed = (claimed.0.saturating_add(done), now);
            }
        }
        self.runs.retain(|_, run| (now - run.read).abs() < REMEMBERED);
    }

    /// The units of work that each version has claimed so far.
    pub(crate) fn claimed(&self) -> BTreeMap<String, u64> {
        self.claimed.iter().map(|(version, (hashes, _))| (version.clone(), *hashes)).collect()
    }

    /// The workers alive.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&String, &Run)> {
        self.runs.iter().filter(|(_, run)| run.read == self.now)
    }

    fn lately(&self) -> impl Iterator<Item = (&Worker, Mark)> {
        self.alive().filter_map(|(_, run)| Some((&run.worker, run.lately()?)))
    }

    /// Where the time of one unit of work went lately, over all workers.
    pub(crate) fn unit(&self) -> Option<Seconds> {
        let (mut units, mut sums) = (0.0, Seconds::default());
        for (_, lately) in self.lately() {
            units += lately.hashes as f64;
            sums.iter_mut().zip(lately.seconds).for_each(|(sum, seconds)| *sum += seconds);
        }
        let any = units > 0.0 && sums.iter().sum::<f64>() > 0.0;
        any.then(|| sums.map(|sum| sum / units))
    }

    /// The most that the workers alive could do; none when one of them does not know enough.
    pub(crate) fn ceiling(&self) -> Option<Ceiling> {
        let unit = self.unit()?;
        let (delay, queue) = (unit[RNG_DELAY_AT], unit[QUEUE_AT]);
        if delay < NO_DELAY && queue > MOST_QUEUE * unit.iter().sum::<f64>() {
            return None;
        }
        let (mut workers, mut lanes) = (0.0, BTreeMap::new());
        for (worker, lately) in self.lately() {
            let total: f64 = lately.seconds.iter().sum();
            let busy = total - lately.seconds[QUEUE_AT];
            let idle = lately.hashes == 0;
            if lately.seconds[UNKNOWN_AT] > MOST_UNKNOWN * total || (!idle && busy <= 0.0) {
                return None;
            }
            if !idle {
                workers += f64::from(worker.loops) * lately.hashes as f64 / busy;
            }
            for rng in &worker.rngs {
                let most = lanes.entry(&rng.name).or_insert(1);
                *most = rng.lanes.max(*most);
            }
        }
        let lanes: f64 = lanes.into_values().map(f64::from).sum();
        let rng = if delay < NO_DELAY { f64::INFINITY } else { lanes / delay };
        // A delay of rngs that nobody has met is that of rngs that do not say their name.
        (rng > 0.0).then(|| Ceiling { speed: rng.min(workers), room: rng / workers })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use store::Rng;

    use super::*;

    /// A worker of the lesson after `seconds`: each unit of work takes 0.31 s, and `queue` more.
    pub(crate) fn lesson(seconds: f64, queue: f64) -> Worker {
        let hashes = (seconds / (0.31 + queue)).floor();
        Worker {
            host: "worker-x2z".to_owned(),
            version: "v0.1".to_owned(),
            loops: 1,
            hashes: hashes as u64,
            rngs: vec![Rng { name: "rng-a".to_owned(), lanes: 1 }],
            stages: StageTimes {
                pause: 0.1 * hashes,
                rng_queue: queue * hashes,
                rng_delay: 0.1 * hashes,
                hasher_delay: 0.1 * hashes,
                network: 0.01 * hashes,
                ..StageTimes::default()
            },
            ..Worker::default()
        }
    }

    pub(crate) fn sighting(run: &str, at: f64, worker: Worker) -> Sighting {
        Sighting { run: run.to_owned(), at, worker }
    }

    /// What is known after twenty seconds of these workers, each with its queue.
    fn after_a_while(queues: &[f64], change: impl Fn(usize, &mut Worker)) -> Workers {
        let mut workers = Workers::default();
        for second in 0..=20 {
            let now = f64::from(second);
            let said = queues.iter().enumerate().map(|(number, queue)| {
                let mut worker = lesson(1000.0 + now, *queue);
                change(number, &mut worker);
                sighting(&format!("run-{number}"), now, worker)
            });
            workers.add(&said.collect::<Vec<_>>(), now);
        }
        workers
    }

    fn ceiling(queues: &[f64], change: impl Fn(usize, &mut Worker)) -> Option<f64> {
        after_a_while(queues, change).ceiling().map(|ceiling| (ceiling.speed * 10.0).round() / 10.0)
    }

    #[test]
    fn the_ceiling_is_that_of_the_workers_or_that_of_rng() {
        let alike = |_: usize, _: &mut Worker| ();
        assert_eq!(ceiling(&[], alike), None);
        assert_eq!(ceiling(&[0.0], alike), Some(3.2));
        assert_eq!(ceiling(&[0.0; 3], alike), Some(9.7));
        // However long they wait, it is not they who are slow.
        assert_eq!(ceiling(&[0.1], alike), Some(3.2));
        assert_eq!(ceiling(&[0.69; 10], alike), Some(10.0));
    }

    #[test]
    fn every_rng_that_any_worker_met_adds_its_lanes() {
        let two = |number: usize, worker: &mut Worker| {
            worker.rngs[0].name = ["rng-a", "rng-b"][number % 2].to_owned();
        };
        assert_eq!(ceiling(&[0.2; 10], two), Some(20.0));
        let lanes = |_: usize, worker: &mut Worker| worker.rngs[0].lanes = 3;
        assert_eq!(ceiling(&[0.2; 10], lanes), Some(30.0));
        let none = |_: usize, worker: &mut Worker| worker.rngs.clear();
        assert_eq!(ceiling(&[0.2; 10], none), None);
    }

    #[test]
    fn a_slow_worker_lowers_the_ceiling_by_its_own_slowness_alone() {
        let slow = |number: usize, worker: &mut Worker| {
            if number == 0 {
                worker.hashes = (worker.hashes as f64 * 0.31 / 1.31) as u64;
                let units = worker.hashes as f64;
                let times = &mut worker.stages;
                (times.pause, times.rng_delay, times.hasher_delay) =
                    (1.1 * units, 0.1 * units, 0.1 * units);
                times.network = 0.01 * units;
            }
        };
        // 1 / 0.31 + 1 / 1.31
        assert_eq!(ceiling(&[0.0; 2], slow), Some(4.0));
    }

    #[test]
    fn without_the_delay_of_rng_only_the_workers_count() {
        let fast = |_: usize, worker: &mut Worker| worker.stages.rng_delay = 0.0;
        assert_eq!(ceiling(&[0.0; 20], fast), Some(95.2));
        let workers = after_a_while(&[0.0; 20], fast);
        assert_eq!(workers.ceiling().unwrap().room, f64::INFINITY);
    }

    #[test]
    fn workers_that_wait_for_an_rng_without_a_delay_have_no_ceiling() {
        let fast = |_: usize, worker: &mut Worker| worker.stages.rng_delay = 0.0;
        assert_eq!(ceiling(&[0.1; 20], fast), None);
    }

    #[test]
    fn one_worker_that_does_not_know_is_enough_for_no_ceiling() {
        let original = |number: usize, worker: &mut Worker| {
            if number == 2 {
                worker.stages.unknown = worker.stages.rng_delay;
            }
        };
        assert_eq!(ceiling(&[0.0; 3], original), None);
        let silent = |_: usize, worker: &mut Worker| worker.stages = StageTimes::default();
        assert_eq!(ceiling(&[0.0; 3], silent), None);
        assert_eq!(after_a_while(&[0.0; 3], silent).unit(), None);
    }

    #[test]
    fn the_mean_unit_of_work_is_that_of_the_last_ten_seconds() {
        let workers = after_a_while(&[0.69; 10], |_, _| ());
        let unit = workers.unit().unwrap();
        for (seconds, expected) in unit.into_iter().zip([0.69, 0.1, 0.1, 0.1, 0.0, 0.01, 0.0, 0.0])
        {
            assert!((seconds - expected).abs() < 1e-9, "{unit:?}");
        }
        let speeds: Vec<_> = workers.alive().filter_map(|(_, run)| run.speed()).collect();
        assert!(speeds.len() == 10 && speeds.iter().all(|speed| (0.9..=1.1).contains(speed)));
    }

    #[test]
    fn work_is_claimed_once_whoever_starts_leaves_or_restarts() {
        let mut workers = Workers::default();
        let mut say = |now: f64, said: &[(&str, u64)]| {
            let said = said.iter().map(|(run, hashes)| {
                sighting(run, now, Worker { hashes: *hashes, ..lesson(0.0, 0.0) })
            });
            workers.add(&said.collect::<Vec<_>>(), now);
            (workers.claimed()["v0.1"], workers.alive().count())
        };
        assert_eq!(say(0.0, &[("a", 1000)]), (0, 1));
        assert_eq!(say(1.0, &[("a", 1003), ("b", 5)]), (3, 2));
        assert_eq!(say(1.0, &[("a", 1003), ("b", 5)]), (3, 2));
        assert_eq!(say(2.0, &[("b", 9)]), (7, 1));
        assert_eq!(say(3.0, &[("b", 12), ("a", 1006)]), (13, 2));
        // Nobody counts backwards; who does has begun anew.
        assert_eq!(say(4.0, &[("b", 2)]), (13, 1));
        assert_eq!(say(5.0, &[("b", 4)]), (15, 1));
        assert_eq!(say(90.0, &[]), (15, 0));
        // Forgotten, so what it did meanwhile is not counted as done just now.
        assert_eq!(say(91.0, &[("b", 1000)]), (15, 1));
    }

    #[test]
    fn a_version_has_a_band_until_nobody_can_see_it_any_more() {
        let mut workers = Workers::default();
        let mut say = |now: f64, versions: &[&str]| {
            let said = versions.iter().map(|version| {
                let worker = Worker { version: (*version).to_owned(), ..lesson(now, 0.0) };
                sighting(version, now, worker)
            });
            workers.add(&said.collect::<Vec<_>>(), now);
            workers.claimed().into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(say(0.0, &["v2", "v1"]), "v1 v2");
        assert_eq!(say(1.0, &["v3", "v4", "v5", "v6"]), "v1 v2 v3 v4 v5");
        assert_eq!(say(300.0, &["v2", "v6"]), "v1 v2 v3 v4 v5");
        assert_eq!(say(320.0, &["v6"]), "v2 v6");
    }

    #[test]
    fn nonsense_from_the_store_is_no_number() {
        let mut workers = Workers::default();
        for (now, sign) in [(0.0, -1.0), (1.0, 1.0), (2.0, -1.0), (3.0, 1.0)] {
            let huge = f64::MAX * sign;
            let times = StageTimes {
                pause: huge,
                rng_queue: huge,
                rng_delay: huge,
                ..lesson(1.0, 0.0).stages
            };
            let hashes = if sign > 0.0 { u64::MAX } else { 0 };
            let worker = Worker { hashes, loops: u16::MAX, stages: times, ..lesson(0.0, 0.0) };
            workers.add(&[sighting("a", now, worker)], now);
            assert!(workers.unit().is_none_or(|unit| unit.iter().all(|s| s.is_finite())));
            assert!(workers.ceiling().is_none_or(|ceiling| ceiling.speed.is_finite()));
        }
    }
}
