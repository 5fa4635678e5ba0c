//! The rows of the ladder, and their turns.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    thread,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use testkit::Process;

use crate::{
    Settings,
    bare::{Done, Style},
    capture,
    figures::median,
    process::{self, Started, Usage},
    table,
    turns::{self, Row},
};

/// The row that the CPU time of the others is compared with.
pub(crate) const YARDSTICK: &str = "bare sockets, 64 loops, threads";

/// The row that latencies are compared with.
pub(crate) const ONE_LOOP: &str = "bare sockets, 1 loop";

/// The row that hashes per second are a share of.
pub(crate) const NO_NETWORK: &str = "no network, all cores";

/// One step.
pub(crate) enum Kind {
    /// Our programs: whether their delays are on, workers, and the settings of each; the number of
    /// threads is that of rng and hasher, too.
    Ours { delays: bool, workers: usize, settings: &'static [(&'static str, &'static str)] },
    /// Bare sockets with so many loops.
    Bare { style: Style, loops: usize },
    /// No network; threads.
    Alone { threads: usize },
}

/// What a row has reached in one turn.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) hashes_per_second: f64,
    /// Over all processes, without their start, in microseconds.
    pub(crate) cpu_per_hash: f64,
    /// Of a unit of work, in microseconds; with several workers, the median of theirs.
    pub(crate) p50: Option<f64>,
    /// The most memory at once of the worker, or of the largest one, then of rng, hasher and redis, as
    /// far as they are there; in bytes.
    pub(crate) memory: Vec<u64>,
}

/// All rows, from the shipped settings to the limit of the machine.
pub(crate) fn rows() -> Vec<Row<Kind>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let row = |name: &str, kind| Row { name: name.to_owned(), kind };
    let ours = |settings| Kind::Ours { delays: false, workers: 1, settings };
    let shipped = |workers| Kind::Ours { delays: true, workers, settings: &[] };
    let ten = |settings| Kind::Ours { delays: false, workers: 10, settings };
    let bare = |style, loops| Kind::Bare { style, loops };
    const KEEP: (&str, &str) = ("CONNECTIONS", "keep-alive");
    const ONE: (&str, &str) = ("THREADS", "1");
    const LOOPS: (&str, &str) = ("CONCURRENCY", "64");
    const FEW: (&str, &str) = ("CONCURRENCY", "4");
    vec![
        row("as shipped, 1 worker", shipped(1)),
        row("as shipped, 10 workers", shipped(10)),
        row("delay 0", ours(&[])),
        row("keep-alive, 1 loop", ours(&[KEEP])),
        row("keep-alive, 1 loop, 1 thread", ours(&[KEEP, ONE])),
        row(ONE_LOOP, bare(Style::Threads, 1)),
        row("keep-alive, 10 workers of 1 loop", ten(&[KEEP])),
        row("keep-alive, 64 loops", ours(&[KEEP, LOOPS])),
        row("keep-alive, 64 loops, 1 thread", ours(&[KEEP, LOOPS, ONE])),
        row(YARDSTICK, bare(Style::Threads, 64)),
        row("bare sockets, 64 loops, epoll", bare(Style::Epoll, 64)),
        row(
            "HTTP/2, 256 loops, 1 thread",
            ours(&[("CONNECTIONS", "http2"), ("CONCURRENCY", "256"), ONE]),
        ),
        row("bulk, batches of 32", ours(&[KEEP, ("CONCURRENCY", "8"), ("BATCH", "32"), ONE])),
        row("bulk, batches of 1024", ours(&[KEEP, FEW, ("BATCH", "1024"), ONE])),
        row("bulk, batches of 4096", ours(&[KEEP, FEW, ("BATCH", "4096"), ONE])),
        row("no network, 1 core", Kind::Alone { threads: 1 }),
        row(NO_NETWORK, Kind::Alone { threads: cores }),
    ]
}

/// Measures the rows that are asked for, and writes the table and the picture.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let mut rows = rows();
    rows.retain(|row| settings.asks_for_row(&row.name));
    if rows.is_empty() {
        return Ok(());
    }
    let messages = capture::capture().context("noting the messages of one unit of work")?;
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(File::create(file.path())?, &messages)?;
    let results =
        turns::take(settings, rows, |kind| kind.run(settings.seconds.get(), file.path()))?;
    turns::write(settings, "ladder.md", &table::markdown(&results))?;
    Ok(fs::write(settings.output.join("ladder.svg"), table::picture(&results))?)
}

/// The parts of a worker's report that are read here.
#[derive(Deserialize)]
struct Report {
    hashes: u64,
    seconds: f64,
    /// CPU time, without that of the start.
    cpu_seconds: f64,
    latencies: BTreeMap<String, Latency>,
}

#[derive(Deserialize)]
struct Latency {
    p50: f64,
}

impl Kind {
    fn run(&self, seconds: u16, messages: &Path) -> Result<Outcome> {
        match self {
            Kind::Ours { delays, workers, settings } => ours(seconds, *delays, *workers, settings),
            Kind::Bare { style, loops } => bare(seconds, *style, *loops, messages),
            Kind::Alone { threads } => {
                let args = ["alone", &threads.to_string(), &seconds.to_string()];
                let process = Process::start(process::this()?, &args, &[]);
                let (done, usage) = process::measured(process)?;
                outcome(&[done], &[usage], &[])
            }
        }
    }
}

fn ours(seconds: u16, delays: bool, workers: usize, settings: &[(&str, &str)]) -> Result<Outcome> {
    let redis = process::redis()?;
    let mut all = vec![("RUST_LOG", "info,access=off")];
    if !delays {
        all.push(("DELAY", "0s"));
    }
    all.extend(settings.iter().filter(|(name, _)| *name == "THREADS"));
    let (rng, hasher) = (process::program("rng", &all)?, process::program("hasher", &all)?);
    let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
    let own = [
        ("DURATION", &*format!("{seconds}s")),
        ("OUTPUT", "json"),
        ("RNG_URL", &url(&rng)),
        ("HASHER_URL", &url(&hasher)),
        ("REDIS_URL", &redis.url()),
        ("RUST_LOG", "warn"),
        // A sixteenth of all hashes would fill redis.
        ("COIN_PREFIX", "00000"),
    ];
    let started = Started::new(&[rng.id(), hasher.id(), redis.id()])?;
    let load = [&all, settings, &own].concat();
    let loads = (0..workers).map(|_| process::program("worker", &load));
    let loads: Vec<Process> = loads.collect::<Result<_>>()?;
    // All of them are looked at while they run.
    let loads: Vec<_> = loads
        .into_iter()
        .map(|load| thread::spawn(move || process::measured::<Report>(load)))
        .collect();
    let (mut done, mut usages) = (Vec::new(), Vec::new());
    for load in loads {
        let (report, usage) = load.join().map_err(|_| anyhow::anyhow!("a thread has died"))??;
        let p50 = report.latencies.get("unit").map(|unit| unit.p50);
        done.push(Done { hashes: report.hashes, seconds: report.seconds, p50 });
        usages.push(Usage { cpu: report.cpu_seconds, ..usage });
    }
    outcome(&done, &usages, &started.usages()?)
}

fn bare(seconds: u16, style: Style, loops: usize, messages: &Path) -> Result<Outcome> {
    let style = style.to_possible_value().context("a style without a name")?;
    let (this, messages) = (process::this()?, messages.to_str().context("no path in UTF-8")?);
    let start = |role: &[&str]| {
        Process::start(&this, &[&["bare", style.get_name(), messages], role].concat(), &[])
    };
    let (rng, hasher) = (start(&["rng"]), start(&["hasher"]));
    let peers = [&rng, &hasher].map(|service| service.address("LISTEN").to_string());
    let worker = ["worker", &peers[0], &peers[1], &loops.to_string(), &seconds.to_string()];
    let started = Started::new(&[rng.id(), hasher.id()])?;
    let (done, usage) = process::measured(start(&worker))?;
    outcome(&[done], &[usage], &started.usages()?)
}

fn outcome(done: &[Done], workers: &[Usage], others: &[Usage]) -> Result<Outcome> {
    let hashes: u64 = done.iter().map(|done| done.hashes).sum();
    ensure!(hashes > 0, "no hash was made in the turn; longer ones, with --seconds, may help");
    // Workers that are measured side by side do not end at the same moment.
    let seconds = done.iter().map(|done| done.seconds).fold(0.0, f64::max);
    let cpu: f64 = workers.iter().chain(others).map(|usage| usage.cpu).sum();
    let p50s: Vec<f64> = done.iter().filter_map(|done| done.p50).collect();
    let worker = workers.iter().map(|usage| usage.memory).max();
    Ok(Outcome {
        hashes_per_second: hashes as f64 / seconds,
        cpu_per_hash: cpu / hashes as f64 * 1e6,
        p50: (!p50s.is_empty()).then(|| median(&p50s, |seconds| seconds * 1e6)),
        memory: worker.into_iter().chain(others.iter().map(|usage| usage.memory)).collect(),
    })
}
