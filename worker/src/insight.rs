//! What the worker knows of itself: where its time goes, which rngs it met, what went wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use chassis::{Served, ServerTiming};
use store::{Rng, StageTimes};
use tokio::time::Instant;

use crate::{
    Metrics,
    metrics::{Stage, Trouble},
    peers::{Answer, PeerError},
};

/// How long an rng that no longer answers is still spoken of.
const MET: Duration = Duration::from_secs(10);

/// The most rngs that are spoken of, whatever they call themselves.
const MOST_RNGS: usize = 500;

/// What rounding may add to the times that a peer tells.
const ROUNDING: Duration = Duration::from_millis(1);

/// Somebody who sees each measurement.
pub trait Watch: Send + Sync {
    /// So much time was spent in each of these stages.
    fn spent(&self, times: &[(&'static str, Duration)]);
    /// A peer failed, in this way.
    fn failed(&self, peer: &'static str, kind: &'static str);
}

/// What one worker knows of itself.
pub struct Insight {
    host: String,
    version: String,
    pub(crate) metrics: Metrics,
    seen: Mutex<Seen>,
    watch: Option<Arc<dyn Watch>>,
}

#[derive(Default)]
struct Seen {
    stages: StageTimes,
    /// When each rng last answered, and how many lanes it has.
    rngs: BTreeMap<String, (Instant, u16)>,
    trouble: Option<String>,
}

impl Insight {
    /// Nothing yet, of a worker with this name and version.
    pub fn new(host: String, version: String, metrics: Metrics) -> Self {
        Self { host, version, metrics, seen: Mutex::default(), watch: None }
    }

    /// The same, with somebody who sees each measurement.
    pub fn watched_by(self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Seconds in each stage so far, over all loops.
    pub fn stages(&self) -> StageTimes {
        self.seen().stages
    }

    /// The pause before a unit of work took so long.
    pub(crate) fn pause(&self, took: Duration) {
        self.spent("pause", took);
    }

    /// rng was asked at a time, and has answered now.
    pub(crate) fn rng<T>(&self, asked: Instant, answer: Result<Answer<T>>) -> Result<T> {
        let answer = self.peer("rng", asked, answer)?;
        if let Some(Served { by, lanes }) = answer.served {
            let rngs = &mut self.seen().rngs;
            if rngs.len() < MOST_RNGS || rngs.contains_key(&by) {
                rngs.insert(by, (Instant::now(), lanes));
            }
        }
        Ok(answer.value)
    }

    /// hasher was asked at a time, and has answered now.
    pub(crate) fn hasher<T>(&self, asked: Instant, answer: Result<Answer<T>>) -> Result<T> {
        Ok(self.peer("hasher", asked, answer)?.value)
    }

    /// A report to redis began at a time, and has ended now.
    pub(crate) fn redis<T>(&self, began: Instant, result: Result<T>) -> Result<T> {
        self.spent("redis", began.elapsed());
        result.inspect_err(|_| self.failed("redis", "store"))
    }

    /// Says why nothing is mined right now, or that there is no such reason.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.seen().trouble = trouble;
    }

    /// What the worker tells everybody.
    pub(crate) fn worker(&self, loops: u16, (hashes, coins): (u64, u64)) -> store::Worker {
        let mut seen = self.seen();
        seen.rngs.retain(|_, (met, _)| met.elapsed() < MET);
        let rngs =
            seen.rngs.iter().map(|(name, (_, lanes))| Rng { name: name.clone(), lanes: *lanes });
        store::Worker {
            host: self.host.clone(),
            version: self.version.clone(),
            loops,
            hashes,
            coins,
            rngs: rngs.collect(),
            stages: seen.stages,
            trouble: seen.trouble.clone(),
        }
    }

    fn peer<T>(
        &self,
        peer: &'static str,
        asked: Instant,
        answer: Result<Answer<T>>,
    ) -> Result<Answer<T>> {
        let took = asked.elapsed();
        let answer = answer.inspect_err(|error| {
            let kind = error.downcast_ref::<PeerError>().map_or("other", |error| error.kind);
            self.failed(peer, kind);
        })?;
        let told = |timing: &ServerTiming| {
            timing.queue.saturating_add(timing.delay).saturating_add(timing.work)
        };
        // Nobody can have spent more time on an answer than it took.
        let Some(timing) = answer.timing.filter(|timing| told(timing) <= took + ROUNDING) else {
            self.answered(&[(peer, took), ("unknown", took)]);
            return Ok(answer);
        };
        let ServerTiming { queue, delay, work } = timing;
        let (whole, work) = ((peer, took), ("work", work));
        let network = ("network", took.saturating_sub(told(&timing)));
        match peer {
            "rng" => {
                self.answered(&[whole, ("rng_queue", queue), ("rng_delay", delay), work, network])
            }
            _ => self.answered(&[whole, ("hasher_delay", delay), work, network]),
        }
        Ok(answer)
    }

    fn spent(&self, stage: &'static str, took: Duration) {
        self.watched(&[(stage, took)]);
        self.count(&[(stage, took)]);
    }

    /// The time that an answer took, and what it consists of.
    fn answered(&self, times: &[(&'static str, Duration)]) {
        self.watched(times);
        self.count(&times[1..]);
    }

    fn watched(&self, times: &[(&'static str, Duration)]) {
        if let Some(watch) = &self.watch {
            watch.spent(times);
        }
    }

    fn count(&self, times: &[(&'static str, Duration)]) {
        let stages = &mut self.seen().stages;
        for &(stage, took) in times {
            let took = took.as_secs_f64();
            self.metrics.stages.get_or_create(&Stage { stage }).observe(took);
            *match stage {
                "pause" => &mut stages.pause,
                "rng_queue" => &mut stages.rng_queue,
                "rng_delay" => &mut stages.rng_delay,
                "hasher_delay" => &mut stages.hasher_delay,
                "work" => &mut stages.work,
                "network" => &mut stages.network,
                "redis" => &mut stages.redis,
                _ => &mut stages.unknown,
            } += took;
        }
    }

    fn failed(&self, peer: &'static str, kind: &'static str) {
        if let Some(watch) = &self.watch {
            watch.failed(peer, kind);
        }
        self.metrics.errors.get_or_create(&Trouble { peer, kind }).inc();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_tells_of_impossible_times_is_not_believed() {
        let insight = Insight::new(String::new(), String::new(), Metrics::default());
        let day = Duration::from_secs(24 * 3600);
        for (queue, delay) in [(Duration::MAX, Duration::MAX), (day, Duration::ZERO)] {
            let timing = Some(ServerTiming { queue, delay, work: Duration::ZERO });
            let answer = Answer { value: (), timing, served: None };
            assert!(insight.rng(Instant::now(), Ok(answer)).is_ok());
        }
        let StageTimes { rng_queue, rng_delay, unknown, .. } = insight.stages();
        assert_eq!((rng_queue, rng_delay), (0.0, 0.0));
        assert!((0.0..10.0).contains(&unknown), "{unknown}");
    }
}
