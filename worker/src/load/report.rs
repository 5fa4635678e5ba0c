//! The report of one load, for people and for machines.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    Peers, Worker,
    load::{
        Pace,
        record::{Record, UNIT},
    },
};

/// The stages, in the order in which a unit of work goes through them.
pub(crate) const STAGES: [&str; 11] = [
    UNIT,
    "pause",
    "rng",
    "rng_queue",
    "rng_delay",
    "hasher",
    "hasher_delay",
    "work",
    "network",
    "unknown",
    "redis",
];

/// What was measured. All times are in seconds.
#[derive(Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) hashes: u64,
    pub(crate) hashes_per_second: f64,
    /// From the end of the warm-up to the last hash, or to the end of the load if that came later.
    pub(crate) seconds: f64,
    /// Hashes of the warm-up, which redis has as well.
    warm_up_hashes: u64,
    /// CPU time of the worker.
    pub(crate) cpu_seconds: f64,
    /// Not a number, which JSON has as `null`, where there is no hash.
    pub(crate) cpu_seconds_per_hash: f64,
    pub(crate) latencies: BTreeMap<&'static str, Latency>,
    /// By kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// By peer and kind.
    errors_by_peer: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Hashes of an open loop that should have been made by the end, but no loop was free for them, or
    /// a peer failed. How long they had waited by then counts as their latency.
    pub(crate) not_done: u64,
    /// Whether it was told to stop before its end.
    pub(crate) interrupted: bool,
    lost: Lost,
    connections: String,
    concurrency: u16,
    batch: u64,
    /// Hashes to begin per second.
    rate: Option<f64>,
}

/// How a load went, as a whole.
pub(crate) struct Course {
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// Hashes.
    pub(crate) not_done: u64,
    pub(crate) interrupted: bool,
}

/// What redis has not taken.
#[derive(Clone, Serialize)]
struct Lost {
    hashes: u64,
    coins: usize,
}

/// How long something took.
#[derive(Clone, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// For any other percentile.
    #[serde(skip)]
    times: Histogram<u64>,
}

impl Latency {
    fn new(times: &Histogram<u64>) -> Self {
        let percentile = |percent| percentile(times, percent);
        Self {
            count: times.len(),
            mean: seconds(times.mean()),
            p50: percentile(50.0),
            p90: percentile(90.0),
            p99: percentile(99.0),
            p999: percentile(99.9),
            max: seconds(times.max() as f64),
            times: times.clone(),
        }
    }

    /// The time that so many percent did not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.times, percent)
    }
}

fn percentile(times: &Histogram<u64>, percent: f64) -> f64 {
    seconds(times.value_at_percentile(percent) as f64)
}

/// From nanoseconds.
fn seconds(nanoseconds: f64) -> f64 {
    nanoseconds / 1e9
}

impl Report {
    /// Sums up a load of a worker, with the hashes and coins that redis has not taken.
    pub(crate) fn new<P: Peers>(
        worker: &Worker<P>,
        pace: &Pace,
        record: &Record,
        Course { took, cpu, not_done, interrupted }: Course,
        (lost_hashes, coins): (u64, usize),
    ) -> Self {
        let data = record.data();
        let mut errors = BTreeMap::new();
        for (kind, count) in data.errors.values().flatten() {
            *errors.entry(*kind).or_default() += count;
        }
        let (hashes, seconds, cpu_seconds) = (data.hashes, took.as_secs_f64(), cpu.as_secs_f64());
        let connections = worker.settings().connections.to_possible_value();
        Self {
            hashes,
            hashes_per_second: hashes as f64 / seconds.max(f64::MIN_POSITIVE),
            seconds,
            warm_up_hashes: data.warm_up_hashes,
            cpu_seconds,
            cpu_seconds_per_hash: if hashes > 0 { cpu_seconds / hashes as f64 } else { f64::NAN },
            latencies: data
                .stages
                .iter()
                .map(|(stage, times)| (*stage, Latency::new(times)))
                .collect(),
            errors,
            errors_by_peer: data.errors.clone(),
            not_done,
            interrupted,
            lost: Lost { hashes: lost_hashes, coins },
            connections: connections.map_or_else(String::new, |name| name.get_name().to_owned()),
            concurrency: worker.settings().concurrency.get(),
            batch: u64::from(worker.settings().batch.get()),
            rate: pace.rate,
        }
    }

    /// What redis has not taken, if that is anything.
    pub(crate) fn loss(&self) -> Option<String> {
        let Lost { hashes, coins } = self.lost;
        let lost = format!("{hashes} hashes and {coins} coins are lost: redis has not taken them");
        ((hashes, coins) != (0, 0)).then_some(lost)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { hashes, hashes_per_second, seconds, connections, concurrency, .. } = self;
        let loops =
            if *concurrency > 1 { format!("{concurrency} loops") } else { "1 loop".to_owned() };
        let batch =
            if self.batch > 1 { format!(", batches of {}", self.batch) } else { String::new() };
        let rate = self.rate.map_or(String::new(), |rate| format!(", {rate}/s asked for"));
        writeln!(f, "{hashes_per_second:.1} hashes/s: {hashes} in {seconds:.2} s")?;
        writeln!(f, "({connections}, {loops}{batch}{rate})\n")?;
        let titles = ["", "mean", "p50", "p90", "p99", "p99.9", "max"];
        writeln!(f, "{}", row(&titles.map(str::to_owned)))?;
        for stage in STAGES {
            if let Some(Latency { mean, p50, p90, p99, p999, max, .. }) = self.latencies.get(stage)
            {
                let [mean, p50, p90, p99, p999, max] =
                    [mean, p50, p90, p99, p999, max].map(|time| ms(*time));
                writeln!(f, "{}", row(&[stage.to_owned(), mean, p50, p90, p99, p999, max]))?;
            }
        }
        let per_hash = number(self.cpu_seconds_per_hash * 1e6, 2);
        writeln!(f, "\nCPU time of the worker: {:.2} s, {per_hash} µs per hash", self.cpu_seconds)?;
        let peers = self.errors_by_peer.iter();
        let errors = peers.flat_map(|(peer, kinds)| {
            kinds.iter().map(move |(kind, count)| format!("{count} × {peer} {kind}"))
        });
        let errors: Vec<_> = errors.collect();
        let none = "none".to_owned();
        writeln!(f, "errors: {}", if errors.is_empty() { none } else { errors.join(", ") })?;
        if self.not_done > 0 {
            writeln!(f, "not done in time: {}", self.not_done)?;
        }
        if let Some(loss) = self.loss() {
            writeln!(f, "{loss}")?;
        }
        if self.interrupted {
            writeln!(f, "interrupted before its end")?;
        }
        Ok(())
    }
}

fn row(cells: &[String; 7]) -> String {
    let numbers = cells[1..].iter().map(|cell| format!("{cell:>12}"));
    format!("{:<13}{}", cells[0], numbers.collect::<String>())
}

/// A number with so many places, if it is one.
pub(crate) fn number(value: f64, places: usize) -> String {
    if value.is_finite() { format!("{value:.places$}") } else { "–".to_owned() }
}

/// A time in milliseconds.
fn ms(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1000.0)
}
