//! All that is known at one time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use store::Snapshot;
use tokio::time::Instant;

use crate::{
    capacity::{Bottleneck, Capacity},
    history::{COLOURS, History, Sample, Speed},
    metrics::Metrics,
    poller::Reading,
    workers::{OTHERS, Workers},
};

/// The longest name of a version, in characters; longer ones are cut.
const MAX_VERSION: usize = 64;
/// The number of versions in a sample.
const MAX_VERSIONS: usize = 20;

/// The state of the application as far as webui knows it.
pub(crate) struct State {
    pub(crate) history: History,
    pub(crate) workers: Workers,
    pub(crate) bottleneck: Bottleneck,
    /// The last snapshot, and when it was read.
    pub(crate) snapshot: Option<(Arc<Snapshot>, Instant)>,
    /// Hashes per second between the last two readings, which the course shows.
    pub(crate) raw_rate: Option<f64>,
    /// Why the last reading failed.
    pub(crate) unavailable: Option<String>,
    /// How long redis could not be read before the next sample, in seconds.
    outage: Option<f64>,
    /// When the last snapshot was read, by the clock of this host.
    last_reading: f64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            history: History::default(),
            workers: Workers::default(),
            bottleneck: Bottleneck::NoWorkers,
            snapshot: None,
            raw_rate: None,
            unavailable: None,
            outage: None,
            last_reading: f64::NAN,
        }
    }

    /// The current time by the clock of the store, in seconds since the Unix epoch.
    pub(crate) fn now(&self) -> f64 {
        self.snapshot.as_ref().map_or(0.0, |(last, read)| last.now + read.elapsed().as_secs_f64())
    }

    /// The sample of the last successful reading, also while the store is unreachable.
    pub(crate) fn sample(&self) -> Option<&Sample> {
        self.history.since(self.workers.now - 2.0).next_back()
    }

    /// Applies a reading, and returns its sample; none if the reading failed.
    pub(crate) fn add(&mut self, Reading { now, outcome, .. }: Reading) -> Option<Sample> {
        let snapshot = match outcome {
            Ok(snapshot) => snapshot,
            Err(sentence) => {
                self.unavailable = Some(sentence);
                return None;
            }
        };
        let is_back = self.unavailable.take().is_some();
        let last = self.snapshot.as_ref().map(|(last, _)| last.now);
        if let Some(last) = last.filter(|_| is_back) {
            self.outage = Some(snapshot.now - last);
        }
        self.raw_rate = self.snapshot.as_ref().and_then(|(before, _)| {
            let hashes = snapshot.hashes()?.checked_sub(before.hashes()?)?;
            Some(hashes as f64 / (snapshot.now - before.now)).filter(|rate| rate.is_finite())
        });
        self.workers.add(&snapshot);
        let capacity = Capacity::of(&self.workers);
        let speeds = self.speeds();
        let speed = speeds.as_ref().map(|speeds| speeds.iter().map(|speed| speed.rate).sum());
        self.bottleneck = Bottleneck::of(&self.workers, capacity, speed, self.bottleneck);
        self.last_reading = now;
        let is_known = snapshot.workers.is_some();
        let at = snapshot.now;
        self.snapshot = Some((snapshot, Instant::now()));
        if !is_known || self.workers.is_settling() {
            return None;
        }
        Some(Sample {
            at,
            speeds,
            capacity,
            workers: self.workers.runs.len(),
            versions: self.versions(),
            failing: self.workers.count_failing(),
            rngs: self.workers.rngs.loads.len(),
            outage: self.outage.take(),
        })
    }

    /// The speed of each version with its colour. Versions without a colour of their own are part of
    /// the others.
    fn speeds(&mut self) -> Option<Vec<Speed>> {
        let mut speeds: BTreeMap<(u8, String), f64> = BTreeMap::new();
        for (version, rate) in self.workers.speeds()? {
            let version = cut(version);
            let colour = self.history.colour(&version);
            let version = if colour == COLOURS { OTHERS.to_owned() } else { version };
            *speeds.entry((colour, version)).or_default() += rate;
        }
        let speed = |((colour, version), rate)| Speed { version, colour, rate };
        Some(speeds.into_iter().map(speed).collect())
    }

    /// The versions of the workers, up to a number.
    fn versions(&self) -> BTreeSet<String> {
        let mut versions: BTreeSet<_> =
            self.workers.runs.values().map(|run| cut(&run.heartbeat.version)).collect();
        while versions.len() > MAX_VERSIONS {
            versions.pop_last();
        }
        versions
    }

    /// Updates the metrics.
    pub(crate) fn update(&self, metrics: &Metrics) {
        let Some((snapshot, _)) = &self.snapshot else { return };
        let number = |number: Option<u64>| number.map_or(f64::NAN, |number| number as f64);
        metrics.hashes.set(number(snapshot.hashes()));
        metrics.coins.set(number(snapshot.totals.coins));
        metrics.last_reading.set(self.last_reading);
        let sample = self.sample().filter(|_| self.unavailable.is_none());
        metrics.workers.set(sample.map_or(f64::NAN, |sample| sample.workers as f64));
        let limit = sample.and_then(|sample| sample.capacity.total());
        metrics.capacity.set(limit.unwrap_or(f64::NAN));
    }
}

fn cut(version: &str) -> String {
    version.chars().take(MAX_VERSION).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use store::{Heartbeat, Part, RecentCoin, Rng, Stage, StageTimes, Totals, WorkerStatus};

    use super::*;

    /// A worker of a simulated application.
    pub(crate) struct Sim {
        pub(crate) run: String,
        pub(crate) version: String,
        /// Units of work per second.
        pub(crate) rate: f64,
        done: f64,
        flushed: u64,
        rngs: Vec<Rng>,
        stages: StageTimes,
        /// Changes its heartbeats.
        pub(crate) change: fn(&mut Heartbeat),
    }

    /// A simulated application with its dashboard.
    pub(crate) struct World {
        pub(crate) now: f64,
        pub(crate) state: State,
        pub(crate) workers: Vec<Sim>,
        pub(crate) rngs: Vec<&'static str>,
        hashes: u64,
        /// Units per second of workers without heartbeats, and what they did.
        pub(crate) others: f64,
        others_done: f64,
    }

    impl World {
        pub(crate) fn new(workers: usize) -> Self {
            let mut world = Self {
                now: 1_700_000_000.5,
                state: State::new(),
                workers: Vec::new(),
                rngs: vec!["rng-a"],
                hashes: 1000,
                others: 0.0,
                others_done: 0.0,
            };
            world.scale(workers);
            world
        }

        pub(crate) fn add_worker(&mut self, version: &str) -> &mut Sim {
            self.workers.push(Sim {
                run: format!("run-{}-{}", self.now, self.workers.len()),
                version: version.to_owned(),
                rate: 3.3,
                done: 0.0,
                flushed: 0,
                rngs: Vec::new(),
                stages: StageTimes::default(),
                change: |_| (),
            });
            self.workers.last_mut().unwrap()
        }

        /// Adds or removes workers, which share the capacity of rng.
        pub(crate) fn scale(&mut self, workers: usize) {
            self.workers.truncate(workers);
            while self.workers.len() < workers {
                self.add_worker("v0.1");
            }
            let share = 9.9 * self.rngs.len() as f64 / workers as f64;
            self.workers.iter_mut().for_each(|worker| worker.rate = share.min(3.3));
        }

        fn heartbeat(rngs: &[&str], number: usize, worker: &mut Sim) -> Heartbeat {
            worker.done += worker.rate;
            let units = worker.rate.floor().max(1.0);
            for name in rngs {
                let index = worker.rngs.iter().position(|rng| rng.name == *name);
                let index = index.unwrap_or_else(|| {
                    worker.rngs.push(Rng { name: (*name).to_owned(), ..Rng::default() });
                    worker.rngs.len() - 1
                });
                let rng = &mut worker.rngs[index];
                (rng.lanes, rng.delay) = (1, Some(0.1));
                let share = worker.rate / rngs.len() as f64;
                rng.served += units as u64;
                rng.busy_seconds += 0.1 * share;
                rng.queue_seconds += share * (1.0 / worker.rate - 0.3).max(0.0);
            }
            let sleep = 0.1 * worker.rate;
            for stage in [Stage::Pause, Stage::RngDelay, Stage::HasherDelay] {
                worker.stages[stage] += sleep;
            }
            worker.stages[Stage::RngQueue] += (1.0 - 3.0 * sleep).max(0.0);
            let mut heartbeat = Heartbeat {
                host: format!("worker_{}", number + 1),
                version: worker.version.clone(),
                loops: 1,
                batch: 1,
                pause: Some(0.1),
                hasher_delay: Some(0.1),
                hashes: worker.done as u64,
                rngs: worker
                    .rngs
                    .iter()
                    .filter(|rng| rngs.contains(&&*rng.name))
                    .cloned()
                    .collect(),
                stages: worker.stages,
                ..Heartbeat::default()
            };
            (worker.change)(&mut heartbeat);
            heartbeat
        }

        /// The snapshot after another second.
        pub(crate) fn snapshot(&mut self) -> Snapshot {
            self.now += 1.0;
            let (now, rngs) = (self.now, self.rngs.clone());
            let mut workers = Vec::new();
            for (number, worker) in self.workers.iter_mut().enumerate() {
                let heartbeat = Self::heartbeat(&rngs, number, worker);
                // Work arrives in lumps.
                if (now as u64 + number as u64).is_multiple_of(2) {
                    let done = heartbeat.hashes.saturating_sub(worker.flushed);
                    self.hashes = self.hashes.saturating_add(done);
                    worker.flushed = heartbeat.hashes;
                }
                workers.push(WorkerStatus { run: worker.run.clone(), at: now - 0.3, heartbeat });
            }
            self.others_done += self.others;
            let hashes = self.hashes + self.others_done as u64;
            let coin = |i: u8| RecentCoin { hash: format!("{i:064x}"), at: now };
            Snapshot {
                now,
                totals: Totals { coins: Some(hashes / 16), hashes: Some(hashes.to_string()) },
                added: Some(self.hashes),
                recent_coins: (0..10).map(coin).collect(),
                workers: Some(workers),
                problems: Vec::new(),
            }
        }

        pub(crate) fn add(&mut self, outcome: Result<Snapshot, String>) {
            let outcome = outcome.map(Arc::new);
            let sample = self.state.add(Reading { number: 1, now: self.now, outcome });
            if let Some(sample) = sample {
                self.state.history.add(&[serde_json::to_string(&sample).unwrap()], self.now);
            }
        }

        pub(crate) fn run(&mut self, seconds: usize) {
            for _ in 0..seconds {
                let snapshot = self.snapshot();
                self.add(Ok(snapshot));
            }
        }

        pub(crate) fn speed(&self) -> Option<f64> {
            self.state.sample().unwrap().speed()
        }

        pub(crate) fn capacity(&self) -> Capacity {
            self.state.sample().unwrap().capacity
        }
    }

    /// A world after a number of seconds with this number of workers.
    pub(crate) fn after(seconds: usize, workers: usize) -> World {
        let mut world = World::new(workers);
        world.run(seconds);
        world
    }

    fn assert_near(speed: Option<f64>, expected: f64) {
        assert!(speed.is_some_and(|speed| (speed - expected).abs() < 0.06 * expected), "{speed:?}");
    }

    #[test]
    fn a_constant_speed_is_shown_as_constant() {
        for (workers, expected) in [(1, 3.3), (3, 9.9), (10, 9.9)] {
            let mut world = after(20, workers);
            for _ in 0..60 {
                world.run(1);
                assert!(
                    (world.speed().unwrap() - expected).abs() < 0.02 * expected,
                    "{:?}",
                    world.speed()
                );
            }
        }
    }

    #[test]
    fn workers_and_versions_add_up_to_the_total() {
        let mut world = after(5, 2);
        world.add_worker("v0.2").rate = 150.7;
        world.run(30);
        let workers = &world.state.workers;
        let rows: f64 = workers.runs.values().map(|run| workers.speed(run).unwrap()).sum();
        assert!((rows - world.speed().unwrap()).abs() < 1e-9);
        let speeds = world.state.sample().unwrap().speeds.clone().unwrap();
        assert_eq!(
            speeds.iter().map(|speed| speed.version.as_str()).collect::<Vec<_>>(),
            ["v0.1", "v0.2"]
        );
        assert_near(Some(speeds[1].rate), 150.7);
    }

    #[test]
    fn the_speed_is_measured_anew_when_members_change() {
        let mut world = after(60, 10);
        for (workers, expected) in [(1, 3.3), (10, 9.9), (3, 9.9), (4, 9.9)] {
            world.scale(workers);
            for second in 1..20 {
                world.run(1);
                match world.speed() {
                    None => assert!(second <= 3, "no speed after {second} s"),
                    Some(speed) => assert!((speed - expected).abs() < 0.34 * expected, "{speed}"),
                }
            }
            assert_near(world.speed(), expected);
        }
    }

    #[test]
    fn while_members_change_all_the_time_there_is_a_speed() {
        let mut world = after(30, 10);
        let mut known = 0;
        for number in 0..40 {
            world.workers.remove(0);
            let rate = world.workers[0].rate;
            world.add_worker("v0.2").rate = rate;
            world.workers.last_mut().unwrap().run = format!("replacement {number}");
            world.run(2);
            known += usize::from(world.speed().is_some());
        }
        assert!(known > 20, "a speed in {known} of 40 readings");
    }

    #[test]
    fn workers_without_heartbeats_are_counted_from_the_counter() {
        let mut world = after(1, 0);
        world.others = 6.6;
        world.run(30);
        assert_near(world.speed(), 6.6);
        world.scale(1);
        world.run(30);
        assert_near(world.speed(), 9.9);
        let speeds = world.state.sample().unwrap().speeds.clone().unwrap();
        assert_eq!(speeds.last().unwrap().version, OTHERS);
        assert_near(Some(speeds.last().unwrap().rate), 6.6);
        world.others = 0.0;
        world.run(30);
        assert_near(world.speed(), 3.3);
        world.scale(0);
        world.run(30);
        assert_eq!(world.speed(), Some(0.0));
    }

    #[test]
    fn the_capacity_is_predicted_from_configured_delays() {
        let mut world = after(20, 10);
        let capacity =
            |world: &World| (world.capacity().rng.unwrap(), world.capacity().workers.unwrap());
        let (rng, workers) = capacity(&world);
        assert!((rng - 10.0).abs() < 1e-9 && (workers - 100.0 / 3.0).abs() < 1e-9);
        // The measured speed changes nothing.
        world.workers.iter_mut().for_each(|worker| worker.rate = 0.2);
        world.run(20);
        assert_eq!(capacity(&world), (rng, workers));
        world.rngs.push("rng-b");
        world.run(5);
        assert_eq!(capacity(&world).0, 20.0);
        world.workers[0].change = |heartbeat| (heartbeat.loops, heartbeat.batch) = (4, 2);
        world.run(1);
        assert!((capacity(&world).1 - 17.0 * 10.0 / 3.0).abs() < 1e-9, "{:?}", capacity(&world));
    }

    #[test]
    fn an_unknown_or_missing_delay_gives_no_prediction() {
        let mut world = after(5, 2);
        world.workers[1].change = |heartbeat| heartbeat.pause = None;
        world.run(1);
        assert_eq!(world.capacity().workers, None);
        for worker in &mut world.workers {
            worker.change = |heartbeat| {
                (heartbeat.pause, heartbeat.hasher_delay) = (Some(0.0), Some(0.0));
                heartbeat.rngs.iter_mut().for_each(|rng| rng.delay = Some(0.0));
            };
        }
        world.run(1);
        assert_eq!(world.capacity(), Capacity::default());
        world.workers.clear();
        world.run(1);
        assert_eq!(world.capacity(), Capacity::default());
    }

    #[test]
    fn an_rng_that_no_longer_responds_is_gone() {
        let mut world = World::new(10);
        world.rngs.push("rng-b");
        world.scale(10);
        world.run(20);
        assert_eq!(world.state.sample().unwrap().rngs, 2);
        // The workers list it for another ten seconds.
        let rng = world.rngs.pop().unwrap();
        for worker in &mut world.workers {
            let old = worker.rngs.iter().find(|known| known.name == rng).cloned();
            assert!(old.is_some_and(|old| old.served > 0));
            worker.change = |heartbeat| {
                let silent =
                    Rng { name: "rng-b".to_owned(), lanes: 1, served: 1 << 40, ..Rng::default() };
                heartbeat.rngs.push(silent);
            };
        }
        world.run(5);
        assert_eq!(world.state.sample().unwrap().rngs, 1);
        assert_eq!(world.capacity().rng, Some(10.0));
    }

    #[test]
    fn what_limits_the_speed() {
        let bottleneck = |workers| after(20, workers).state.bottleneck;
        assert_eq!(bottleneck(0), Bottleneck::NoWorkers);
        assert_eq!(bottleneck(1), Bottleneck::Workers);
        assert_eq!(bottleneck(3), Bottleneck::Balanced);
        assert_eq!(bottleneck(10), Bottleneck::Rng);
        let mut world = after(20, 10);
        for worker in &mut world.workers[..6] {
            worker.change = |heartbeat| heartbeat.failing_part = Some(Part::Hasher);
        }
        world.run(1);
        assert_eq!(world.state.bottleneck, Bottleneck::Failing(Part::Hasher));
        let mut world = World::new(2);
        for worker in &mut world.workers {
            worker.change = |heartbeat| {
                heartbeat.stages[Stage::Unknown] = 9.0 * heartbeat.hashes as f64;
                heartbeat.hasher_delay = None;
                heartbeat.rngs.clear();
            };
        }
        world.run(1);
        assert_eq!(world.state.bottleneck, Bottleneck::Measuring);
        world.run(20);
        assert_eq!(world.state.bottleneck, Bottleneck::Unreported);
    }

    #[test]
    fn busy_processors_stay_the_bottleneck_until_they_are_clearly_less_busy() {
        fn fast(heartbeat: &mut Heartbeat, cpu: f64) {
            heartbeat.cpu = Some(cpu);
            (heartbeat.pause, heartbeat.hasher_delay) = (Some(0.0), Some(0.0));
            for rng in &mut heartbeat.rngs {
                (rng.delay, rng.busy_seconds) = (Some(0.0), 0.0);
            }
        }
        let mut world = World::new(2);
        let mut set = |change: fn(&mut Heartbeat)| {
            world.workers.iter_mut().for_each(|worker| worker.change = change);
            world.run(20);
            world.state.bottleneck
        };
        assert_eq!(set(|heartbeat| fast(heartbeat, 0.8)), Bottleneck::Other);
        assert_eq!(set(|heartbeat| fast(heartbeat, 0.95)), Bottleneck::Cpu);
        assert_eq!(set(|heartbeat| fast(heartbeat, 0.8)), Bottleneck::Cpu);
        assert_eq!(set(|heartbeat| fast(heartbeat, 0.5)), Bottleneck::Other);
        // Workers that reach their capacity are not limited by a busy host.
        assert_eq!(set(|heartbeat| heartbeat.cpu = Some(1.0)), Bottleneck::Workers);
        world.workers.iter_mut().for_each(|worker| worker.rate = 0.5);
        world.run(20);
        assert_eq!(world.state.bottleneck, Bottleneck::Cpu);
    }

    #[test]
    fn an_rng_that_is_not_busy_does_not_limit_the_speed() {
        let mut world = after(20, 10);
        assert_eq!(world.state.bottleneck, Bottleneck::Rng);
        for (cpu, expected) in [(0.2, Bottleneck::Other), (0.99, Bottleneck::Cpu)] {
            for worker in &mut world.workers {
                worker.rate = 0.4;
                worker.change = match cpu > 0.5 {
                    true => |heartbeat| heartbeat.cpu = Some(0.99),
                    false => |heartbeat| heartbeat.cpu = Some(0.2),
                };
            }
            world.run(30);
            assert_eq!(world.state.bottleneck, expected);
        }
    }

    #[test]
    fn nothing_is_predicted_with_services_or_workers_of_the_original() {
        // A third of the time in responses without timings.
        let mut world = World::new(2);
        for worker in &mut world.workers {
            worker.change = |heartbeat| {
                heartbeat.stages[Stage::Unknown] = 0.15 * heartbeat.hashes as f64;
            };
        }
        world.run(20);
        assert_eq!(world.state.bottleneck, Bottleneck::Unreported);
        assert_eq!(world.capacity(), Capacity::default());
        let mut world = after(20, 1);
        world.others = 6.6;
        world.run(20);
        assert_eq!(world.state.bottleneck, Bottleneck::Unreported);
        let mut world = after(20, 2);
        world.workers[0].change = |heartbeat| heartbeat.pause = None;
        world.run(20);
        assert_eq!(world.state.bottleneck, Bottleneck::Unreported);
    }

    #[test]
    fn workers_that_come_back_after_an_outage_are_no_event() {
        let mut world = after(30, 10);
        for _ in 0..10 {
            world.now += 1.0;
            world.add(Err("redis is unreachable".to_owned()));
        }
        for alive in [0, 3, 7, 10] {
            let mut snapshot = world.snapshot();
            snapshot.workers.as_mut().unwrap().truncate(alive);
            world.add(Ok(snapshot));
        }
        world.run(30);
        let events = world.state.history.events(0.0);
        let [event] = &events[..] else { panic!("{events:?}") };
        assert!(event.is_gap && event.after.workers == 10);
        assert!(event.after.outage.is_some_and(|outage| (outage - 11.0).abs() < 0.5));
    }

    #[test]
    fn heartbeats_that_cannot_be_read_are_no_sample() {
        let mut world = after(30, 3);
        for _ in 0..3 {
            let snapshot = Snapshot { workers: None, ..world.snapshot() };
            world.add(Ok(snapshot));
        }
        assert!(world.state.sample().is_none());
        world.run(30);
        assert!(world.state.history.events(0.0).is_empty());
    }

    #[test]
    fn without_counters_and_heartbeats_there_is_no_speed() {
        let mut world = World::new(0);
        for _ in 0..10 {
            let mut snapshot = world.snapshot();
            snapshot.totals.hashes = Some("abc".to_owned());
            world.add(Ok(snapshot));
            assert_eq!(world.speed(), None);
        }
    }

    #[test]
    fn a_service_that_never_responds_is_failing_although_no_worker_has_an_error() {
        for (part, change) in [
            (Part::Rng, (|heartbeat| heartbeat.awaiting_rng = 1) as fn(&mut Heartbeat)),
            (Part::Hasher, |heartbeat| heartbeat.awaiting_hasher = 1),
        ] {
            let mut world = after(20, 3);
            for worker in &mut world.workers {
                (worker.rate, worker.change) = (0.0, change);
            }
            world.run(5);
            assert!(!world.state.sample().unwrap().is_down(part));
            world.run(4);
            assert!(world.state.sample().unwrap().is_down(part));
            world.scale(3);
            world.run(2);
            assert!(!world.state.sample().unwrap().is_down(part));
        }
    }

    #[test]
    fn nonsense_from_the_store_gives_no_infinite_number() {
        let mut world = World::new(1);
        world.workers[0].change = |heartbeat| {
            let sign = if heartbeat.hashes % 2 == 0 { 1.0 } else { -1.0 };
            heartbeat.hashes = if sign > 0.0 { u64::MAX } else { 0 };
            (heartbeat.loops, heartbeat.batch) = (u16::MAX, u16::MAX);
            (heartbeat.pause, heartbeat.cpu) = (Some(-1e300 * sign), Some(1e300 * sign));
            heartbeat.stages[Stage::Pause] = f64::MAX * sign;
            let rng =
                Rng { lanes: 0, served: u64::MAX, delay: Some(sign * 1e-300), ..Rng::default() };
            heartbeat.rngs.push(Rng {
                queue_seconds: f64::MAX * sign,
                busy_seconds: f64::MIN * sign,
                ..rng
            });
        };
        for _ in 0..20 {
            world.run(1);
            let sample = world.state.sample().unwrap();
            let numbers = [
                sample.speed(),
                sample.capacity.total(),
                world.state.workers.rngs.utilisation(world.state.workers.since()),
            ];
            assert!(numbers.into_iter().flatten().all(f64::is_finite), "{numbers:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_starts_the_history_again() {
        let mut world = after(30, 1);
        world.now -= 10_000.0;
        world.run(10);
        assert_near(world.speed(), 3.3);
        assert_eq!(world.state.history.since(0.0).count(), 10);
    }

    #[test]
    fn metrics_are_nan_while_redis_cannot_be_read() {
        let mut world = after(20, 1);
        let metrics = Metrics::default();
        world.state.update(&metrics);
        assert_eq!((metrics.workers.get(), metrics.last_reading.get()), (1.0, world.now));
        assert!((metrics.capacity.get() - 10.0 / 3.0).abs() < 1e-9);
        world.add(Err("redis is unreachable".to_owned()));
        world.state.update(&metrics);
        assert!(metrics.capacity.get().is_nan() && metrics.workers.get().is_nan());
    }

    #[test]
    fn the_raw_rate_is_the_difference_of_the_last_two_readings() {
        let mut world = after(1, 0);
        assert_eq!(world.state.raw_rate, None);
        world.hashes += 6;
        world.run(1);
        assert_eq!(world.state.raw_rate, Some(6.0));
        world.hashes = 5;
        world.run(1);
        assert_eq!(world.state.raw_rate, None);
    }
}
