//! The measurements of one load, in HDR histograms with an error of at most a thousandth.

use std::{
    collections::BTreeMap,
    iter,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};
use serde_json::Value;
use store::Stage;
use worker::{Peer, Timing, Unit};

/// The longest recorded time, in nanoseconds; longer ones count as this hour.
const MAX_NANOSECONDS: u64 = 3_600_000_000_000;

/// The series of times that the report has a row for, in its order. The first is a whole unit of
/// work, from its intended start to its end; the others are its requests and stages.
pub(crate) const SERIES: [&str; 11] = [
    UNIT,
    Stage::Pause.name(),
    Peer::Rng.name(),
    Stage::RngQueue.name(),
    Stage::RngDelay.name(),
    Peer::Hasher.name(),
    Stage::HasherDelay.name(),
    Stage::Work.name(),
    Stage::Network.name(),
    Stage::Unknown.name(),
    Stage::Redis.name(),
];

/// The series of whole units of work.
pub(crate) const UNIT: &str = "unit";

/// The record of one load. Nothing before the end of the warm-up is measured.
pub(crate) struct Record {
    /// The end of the warm-up.
    pub(crate) start: Instant,
    /// The first error after the warm-up that no successful unit of work has followed.
    first_error: Option<Instant>,
    /// Time from the end of the warm-up to the last hash.
    pub(crate) last_hash: Duration,
    pub(crate) data: Data,
}

/// The measurements of one load.
#[derive(Default, Serialize)]
pub(crate) struct Data {
    pub(crate) hashes: u64,
    /// Hashes of the warm-up, which redis counts as well.
    warm_up_hashes: u64,
    /// Those of each series that has a value.
    pub(crate) latencies: BTreeMap<&'static str, Latencies>,
    /// The number of errors, by peer and kind.
    pub(crate) errors_by_peer: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

/// The distribution of the times of a series, in nanoseconds.
pub(crate) struct Latencies(Histogram<u64>);

/// A figure of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Statistic {
    Mean,
    Percentile(f64),
}

/// The figures that a report has of each series.
pub(crate) const STATISTICS: [(&str, Statistic); 6] = [
    ("mean", Statistic::Mean),
    ("p50", Statistic::Percentile(50.0)),
    ("p90", Statistic::Percentile(90.0)),
    ("p99", Statistic::Percentile(99.0)),
    ("p99.9", Statistic::Percentile(99.9)),
    ("max", Statistic::Percentile(100.0)),
];

impl Record {
    /// An empty record of a load that starts now.
    pub(crate) fn new(warm_up: Duration) -> Self {
        let now = Instant::now();
        let (last_hash, data) = (Duration::ZERO, Data::default());
        Self { start: now + warm_up, first_error: None, last_hash, data }
    }

    /// Records a unit of work that has just ended, with its number of hashes and, if it is
    /// measured, its intended start.
    pub(crate) fn unit(&mut self, unit: &Unit, hashes: u64, measured_from: Option<Instant>) {
        let now = Instant::now();
        self.first_error = None;
        let Some(intended) = measured_from else {
            self.data.warm_up_hashes += hashes;
            return;
        };
        self.data.hashes += hashes;
        self.last_hash = now - self.start;
        self.data.add(UNIT, now - intended, 1);
        for &(timing, took) in &unit.timings {
            let series = match timing {
                Timing::Request(peer) => peer.name(),
                Timing::Stage(stage) => stage.name(),
            };
            self.data.add(series, took, 1);
        }
    }

    /// Records the duration of a flush.
    pub(crate) fn flush(&mut self, took: Duration) {
        if Instant::now() >= self.start {
            self.data.add(Stage::Redis.name(), took, 1);
        }
    }

    /// Records an error after the warm-up, and returns the time since the first one that no
    /// successful unit of work has followed.
    pub(crate) fn error(&mut self, peer: &'static str, kind: &'static str) -> Duration {
        let now = Instant::now();
        if now < self.start {
            return Duration::ZERO;
        }
        *self.data.errors_by_peer.entry(peer).or_default().entry(kind).or_default() += 1;
        now - *self.first_error.get_or_insert(now)
    }

    /// Records a number of units of work that were not done by the end, and how long they had
    /// waited.
    pub(crate) fn not_done(&mut self, waited: Duration, units: u64) {
        self.data.add(UNIT, waited, units);
    }
}

impl Data {
    fn add(&mut self, series: &'static str, took: Duration, count: u64) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(MAX_NANOSECONDS);
        let latencies = self.latencies.entry(series).or_insert_with(|| {
            let histogram = Histogram::new_with_bounds(1, MAX_NANOSECONDS, 3);
            Latencies(histogram.unwrap_or_else(|error| unreachable!("valid bounds: {error}")))
        });
        latencies.0.saturating_record_n(nanoseconds, count);
    }
}

impl Latencies {
    /// A figure, in seconds.
    pub(crate) fn seconds(&self, statistic: Statistic) -> f64 {
        let nanoseconds = match statistic {
            Statistic::Mean => self.0.mean(),
            Statistic::Percentile(percent) => self.0.value_at_percentile(percent) as f64,
        };
        nanoseconds / 1e9
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = ("count", Value::from(self.0.len()));
        let figures = STATISTICS.map(|(name, statistic)| (name, self.seconds(statistic).into()));
        serializer.collect_map(iter::once(count).chain(figures))
    }
}
