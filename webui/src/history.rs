//! The last minutes of readings, stored in the server so that the chart survives a reload.

use std::{collections::BTreeMap, sync::Arc};

use store::Snapshot;

use crate::{
    Metrics,
    counters::{Outcome, Reading},
    curve::{GAP, Speed, speeds},
    workers::{Ceiling, Workers},
};

/// The length of the history, in seconds: the five minutes of the chart, and the ten seconds that
/// its first speed is computed from.
pub(crate) const SPAN: f64 = 310.0;

/// The number of samples that are stored, even if the clock jumps.
const MAX_SAMPLES: usize = 1000;

/// One reading of the counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch.
    pub now: f64,
    /// Units of work done.
    pub hashes: u64,
    /// Coins in the wallet.
    pub coins: u64,
    /// Units of work that the workers of each version have reported.
    pub by_version: BTreeMap<String, u64>,
}

impl Sample {
    /// Whether this sample and the next one give a speed.
    pub(crate) fn continues(&self, next: &Sample) -> bool {
        let counted = next.hashes >= self.hashes && next.coins >= self.coins;
        counted && (0.0..=GAP).contains(&(next.now - self.now))
    }
}

/// The readings so far.
#[derive(Default)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) samples: Vec<Sample>,
    pub(crate) workers: Workers,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Why the last reading failed.
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
            let by_version = self.workers.by_version();
            let Reading { now, coins, .. } = reading;
            self.samples.push(Sample { now, hashes, coins, by_version });
        }
        let old = self.samples.iter().take_while(|sample| sample.now < reading.now - SPAN).count();
        self.samples.drain(..old.max(self.samples.len().saturating_sub(MAX_SAMPLES)));
        self.snapshot = Some(reading.snapshot);
    }

    /// The speed at each sample.
    pub(crate) fn speeds(&self) -> Vec<Vec<Speed>> {
        speeds(&self.samples)
    }

    /// The highest speed that is possible, if known; `speed` is the current one.
    pub(crate) fn ceiling(&self, speed: Option<&Speed>) -> Option<Ceiling> {
        // Workers without heartbeats add an unknown capacity; the limit of rng applies to them as
        // well.
        let others = speed.is_some_and(|speed| speed.others() > 0.0);
        self.workers.ceiling().filter(|ceiling| !others || ceiling.rng_ratio < 1.0)
    }

    /// Updates the metrics.
    pub(crate) fn update(&self, metrics: &Metrics) {
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
    use crate::workers::tests::{heartbeat, status};

    /// A reading at a constant speed, with one worker that has default settings.
    fn reading(second: u32, rate: f64) -> Outcome {
        let (now, hashes) = (f64::from(second), (f64::from(second) * rate).to_string());
        let snapshot = Snapshot {
            now,
            totals: Totals { coins: 0, hashes: None },
            recent_coins: Vec::new(),
            workers: vec![status("run", now, heartbeat(now, 0.0))],
        };
        let hashes = hashes.split('.').next().map(str::to_owned);
        Ok(Reading { coins: 0, hashes, now, snapshot: snapshot.into() })
    }

    #[test]
    fn the_history_is_limited_to_five_minutes() {
        let mut history = History::default();
        (0..2000).for_each(|second| history.add(reading(second, 3.0)));
        let (first, last) = (&history.samples[0], &history.samples[history.samples.len() - 1]);
        assert_eq!((first.now, last.now, last.hashes), (1689.0, 1999.0, 5997));
        // Even when the clock runs backwards.
        for second in (0..3000).rev() {
            history.add(reading(second, 3.0));
        }
        assert!(history.samples.len() <= MAX_SAMPLES);
    }

    #[test]
    fn the_predicted_speed_is_nan_with_unknown_workers_and_without_redis() {
        let predicted = |rate| {
            let (mut history, metrics) = (History::default(), Metrics::default());
            (0..60).for_each(|second| history.add(reading(second, rate)));
            history.update(&metrics);
            assert_eq!((metrics.workers.get(), metrics.last_reading.get()), (1.0, 59.0));
            let fresh = metrics.predicted.get();
            history.add(Err("redis is unreachable.".to_owned()));
            history.update(&metrics);
            assert!(metrics.predicted.get().is_nan() && metrics.workers.get().is_nan());
            fresh
        };
        assert!((predicted(3.2) - 3.2).abs() < 0.1);
        assert!(predicted(6.4).is_nan());
    }
}
