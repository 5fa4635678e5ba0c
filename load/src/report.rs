//! The report of one load, as text and as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use clap::ValueEnum;
use serde::Serialize;
use worker::Unflushed;

use crate::{
    LoadProfile,
    record::{Data, SERIES, STATISTICS},
};

/// The report. All times are in seconds.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) data: Data,
    #[serde(flatten)]
    pub(crate) run: RunStats,
    pub(crate) hashes_per_second: f64,
    /// NaN, which is `null` in JSON, without a hash.
    pub(crate) cpu_seconds_per_hash: f64,
    /// By kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    lost: Lost,
    connections: String,
    concurrency: u16,
    batch: u16,
    /// Hashes to start per second.
    rate: Option<f64>,
}

/// A load as a whole.
#[derive(Serialize)]
pub(crate) struct RunStats {
    /// From the end of the warm-up to the last hash, or to the end of the load if that is later.
    pub(crate) seconds: f64,
    /// CPU time of this process.
    pub(crate) cpu_seconds: f64,
    /// Hashes of an open loop that were due before the end, but no loop was free for them, or a
    /// peer failed. Their waiting time until the end counts as their latency.
    pub(crate) not_done: u64,
    /// Whether the load ended before its duration or its number of hashes.
    pub(crate) interrupted: bool,
    /// Why the load gave up.
    #[serde(skip)]
    pub(crate) stall: Option<String>,
}

/// Work that redis has not acknowledged.
#[derive(Serialize)]
struct Lost {
    hashes: u64,
    coins: usize,
}

impl Report {
    /// Summarises a load.
    pub(crate) fn new(
        worker: &worker::Settings,
        profile: &LoadProfile,
        data: Data,
        run: RunStats,
        unflushed: Unflushed,
    ) -> Self {
        let mut errors = BTreeMap::new();
        for (kind, count) in data.errors_by_peer.values().flatten() {
            *errors.entry(*kind).or_default() += count;
        }
        let (hashes, cpu_seconds) = (data.hashes as f64, run.cpu_seconds);
        let connections = worker.connections.to_possible_value();
        Self {
            hashes_per_second: hashes / run.seconds.max(f64::MIN_POSITIVE),
            cpu_seconds_per_hash: if hashes > 0.0 { cpu_seconds / hashes } else { f64::NAN },
            errors,
            lost: Lost { hashes: unflushed.hashes, coins: unflushed.coins },
            connections: connections.map_or_else(String::new, |name| name.get_name().to_owned()),
            concurrency: worker.concurrency.get(),
            batch: worker.batch.get(),
            rate: profile.rate,
            data,
            run,
        }
    }

    /// A sentence about work that redis has not acknowledged, if there is any.
    pub(crate) fn loss(&self) -> Option<String> {
        let Lost { hashes, coins } = self.lost;
        let lost = format!(
            "{hashes} hashes and {coins} coins may be lost: redis did not acknowledge them"
        );
        ((hashes, coins) != (0, 0)).then_some(lost)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { data, run, hashes_per_second, connections, concurrency, .. } = self;
        let loops =
            if *concurrency > 1 { format!("{concurrency} loops") } else { "1 loop".to_owned() };
        let batch =
            if self.batch > 1 { format!(", batches of {}", self.batch) } else { String::new() };
        let rate = self.rate.map_or(String::new(), |rate| format!(", {rate}/s asked for"));
        writeln!(f, "{hashes_per_second:.1} hashes/s: {} in {:.2} s", data.hashes, run.seconds)?;
        writeln!(f, "({connections}, {loops}{batch}{rate})\n")?;
        writeln!(f, "{}", row("", STATISTICS.map(|(name, _)| name.to_owned())))?;
        for name in SERIES {
            if let Some(latency) = data.latencies.get(name) {
                let times = STATISTICS.map(|(_, statistic)| latency.seconds(statistic) * 1e3);
                writeln!(f, "{}", row(name, times.map(|time| format!("{time:.3} ms"))))?;
            }
        }
        let per_hash = number(self.cpu_seconds_per_hash * 1e6, 2);
        let cpu_seconds = run.cpu_seconds;
        writeln!(f, "\nCPU time of the worker: {cpu_seconds:.2} s, {per_hash} µs per hash")?;
        let by_peer = data.errors_by_peer.iter();
        let errors = by_peer.flat_map(|(peer, kinds)| {
            kinds.iter().map(move |(kind, count)| format!("{count} × {peer} {kind}"))
        });
        let errors: Vec<_> = errors.collect();
        let none = "none".to_owned();
        writeln!(f, "errors: {}", if errors.is_empty() { none } else { errors.join(", ") })?;
        let not_done = (run.not_done > 0).then(|| format!("not done in time: {}", run.not_done));
        let interrupted = run.interrupted.then(|| "interrupted before its end".to_owned());
        let lines = [not_done, self.loss(), interrupted];
        lines.iter().flatten().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn row(title: &str, cells: [String; 6]) -> String {
    format!("{title:<13}{}", cells.map(|cell| format!("{cell:>12}")).concat())
}

/// A number with this number of decimals, or a dash for NaN.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}
