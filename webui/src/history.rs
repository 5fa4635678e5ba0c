//! The last minutes of the store, kept by the server so that a reload keeps the curve.

use std::{collections::BTreeMap, sync::Arc};

use store::Snapshot;

use crate::{
    Metrics,
    counters::Outcome,
    curve::{GAP, Speed, speeds},
    workers::{Ceiling, Workers},
};

/// How far back the history goes, in seconds: five minutes of speed take ten seconds more.
pub(crate) const SPAN: f64 = 310.0;

/// The most samples that are kept, whatever the clock does.
const MOST: usize = 1000;

/// One reading of the counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch.
    pub now: f64,
    /// Units of work done.
    pub hashes: u64,
    /// Coins in the wallet.
    pub coins: u64,
    /// Units of work that the workers of each version say they have done.
    pub claimed: BTreeMap<String, u64>,
}

impl Sample {
    /// Whether a speed can be told from this sample and the next one.
    pub(crate) fn continues(&self, next: &Sample) -> bool {
        let counted = next.hashes >= self.hashes && next.coins >= self.coins;
        counted && (0.0..=GAP).contains(&(next.now - self.now))
    }
}

/// What is known: the samples, oldest first, what was read last, and why that is not now.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) samples: Vec<Sample>,
    pub(crate) workers: Workers,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) unavailable: Option<String>,
}

impl History {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        let reading = match outcome {
            Ok(reading) => reading,
            Err(sentence) => return self.unavailable = Some(sentence),
        };
        self.unavailable = None;
        self.workers.add(&reading.snapshot.workers, reading.now);
        if let Ok(hashes) = reading.hashes.as_deref().unwrap_or("0").parse() {
            let claimed = self.workers.claimed();
            self.samples.push(Sample { now: reading.now, hashes, coins: reading.coins, claimed });
        }
        let old = self.samples.iter().take_while(|sample| sample.now < reading.now - SPAN).count();
        self.samples.drain(..old.max(self.samples.len().saturating_sub(MOST)));
        self.snapshot = Some(reading.snapshot);
    }

    /// The speeds so far.
    pub(crate) fn speeds(&self) -> Vec<Vec<Speed>> {
        speeds(&self.samples)
    }

    /// The most that can be done, as far as that is known; `speed` is that of now.
    pub(crate) fn ceiling(&self, speed: Option<&Speed>) -> Option<Ceiling> {
        // Workers that say nothing could do more than those that do, but no more than rng.
        let others = speed.is_some_and(|speed| speed.others() > 0.0);
        self.workers.ceiling().filter(|ceiling| !others || ceiling.room < 1.0)
    }

    /// Tells Prometheus.
    pub(crate) fn observe(&self, metrics: &Metrics) {
        if let Some(last) = self.samples.last() {
            metrics.hashes.set(last.hashes as f64);
            metrics.coins.set(last.coins as f64);
            metrics.last_reading.set(last.now);
        }
        let fresh = self.unavailable.is_none();
        metrics.workers.set(if fresh { self.workers.alive().count() as f64 } else { f64::NAN });
        let speeds = self.speeds();
        let ceiling = self.ceiling(speeds.last().and_then(|run| run.last()));
        let ceiling = ceiling.filter(|_| fresh);
        metrics.predicted.set(ceiling.map_or(f64::NAN, |ceiling| ceiling.speed));
    }
}

#[cfg(test)]
mod tests {
    use store::Totals;

    use super::*;
    use crate::{
        counters::Reading,
        workers::tests::{lesson, sighting},
    };

    /// A reading of as many hashes as the seconds times `rate`, with one worker of the lesson.
    fn reading(second: u32, rate: f64) -> Outcome {
        let (now, hashes) = (f64::from(second), (f64::from(second) * rate).to_string());
        let snapshot = Snapshot {
            now,
            totals: Totals { coins: 0, hashes: None },
            finds: Vec::new(),
            workers: vec![sighting("run", now, lesson(now, 0.0))],
            asked: Vec::new(),
        };
        let hashes = hashes.split('.').next().map(str::to_owned);
        Ok(Reading { coins: 0, hashes, now, snapshot: snapshot.into() })
    }

    #[test]
    fn five_minutes_are_kept_and_no_more() {
        let mut history = History::default();
        (0..2000).for_each(|second| history.add(reading(second, 3.0)));
        let (first, last) = (&history.samples[0], &history.samples[history.samples.len() - 1]);
        assert_eq!((first.now, last.now, last.hashes), (1689.0, 1999.0, 5997));
        // Whatever the clock does.
        for second in (0..3000).rev() {
            history.add(reading(second, 3.0));
        }
        assert!(history.samples.len() <= MOST);
    }

    #[test]
    fn workers_that_say_nothing_take_the_ceiling_away_and_prometheus_is_told() {
        let predicted = |rate| {
            let (mut history, metrics) = (History::default(), Metrics::default());
            (0..60).for_each(|second| history.add(reading(second, rate)));
            history.observe(&metrics);
            assert_eq!((metrics.workers.get(), metrics.last_reading.get()), (1.0, 59.0));
            let fresh = metrics.predicted.get();
            history.add(Err("redis is away.".to_owned()));
            history.observe(&metrics);
            assert!(metrics.predicted.get().is_nan() && metrics.workers.get().is_nan());
            fresh
        };
        assert!((predicted(3.2) - 3.2).abs() < 0.1);
        assert!(predicted(6.4).is_nan());
    }
}
