//! The ladder: the speed and the cost of each step from the default settings to the limit of the
//! machine, next to baselines.

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
    baseline::{IoModel, RunStats},
    capture,
    figures::median,
    process::{self, Meter, Usage},
    rounds,
    settings::Settings,
    steps::{self, Kind, Outcome},
    table,
};

/// Measures the selected rows, and writes the table and the chart.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let mut rows = steps::rows();
    rows.retain(|row| settings.selects_row(&row.name));
    if rows.is_empty() {
        return Ok(());
    }
    let messages = capture::capture().context("capturing the messages of one unit of work")?;
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(File::create(file.path())?, &messages)?;
    let seconds = settings.seconds.get();
    let results = rounds::measure(settings.rounds, rows, |kind| match *kind {
        Kind::DockerCoins { delays, workers, settings } => {
            docker_coins(seconds, delays, workers, settings)
        }
        Kind::BareSockets { io, loops } => bare_sockets(seconds, io, loops, file.path()),
        Kind::NoNetwork { threads } => no_network(seconds, threads),
    })?;
    rounds::write(&settings.output, "ladder.md", &table::markdown(&results))?;
    Ok(fs::write(settings.output.join("ladder.svg"), table::chart(&results))?)
}

/// The fields of the load generator's report that the ladder uses.
#[derive(Deserialize)]
struct Report {
    hashes: u64,
    seconds: f64,
    /// CPU time without that of the start.
    cpu_seconds: f64,
    latencies: BTreeMap<String, Latency>,
}

#[derive(Deserialize)]
struct Latency {
    p50: f64,
}

fn docker_coins(
    seconds: u16,
    delays: bool,
    workers: usize,
    settings: &[(&str, &str)],
) -> Result<Outcome> {
    let redis = process::redis()?;
    let mut shared = vec![("RUST_LOG", "info,access=off")];
    if !delays {
        shared.push(("DELAY", "0s"));
    }
    shared.extend(settings.iter().filter(|(name, _)| *name == "THREADS"));
    let (rng, hasher) = (process::program("rng", &shared)?, process::program("hasher", &shared)?);
    let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
    let own = [
        ("DURATION", &*format!("{seconds}s")),
        ("OUTPUT", "json"),
        ("RNG_URL", &url(&rng)),
        ("HASHER_URL", &url(&hasher)),
        ("REDIS_URL", &redis.url()),
        ("RUST_LOG", "warn"),
        // With the default prefix, a sixteenth of all hashes would fill redis.
        ("COIN_PREFIX", "00000"),
    ];
    let meter = Meter::start(&[rng.id(), hasher.id(), redis.id()])?;
    let load = [&shared, settings, &own].concat();
    let loads = (0..workers).map(|_| process::program("load", &load));
    let loads: Vec<Process> = loads.collect::<Result<_>>()?;
    // The usage of each process can be read only while it runs.
    let threads: Vec<_> = loads
        .into_iter()
        .map(|load| thread::spawn(move || process::measure_run::<Report>(load)))
        .collect();
    let (mut runs, mut usages) = (Vec::new(), Vec::new());
    for thread in threads {
        let (report, usage) = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        let p50 = report.latencies.get("unit").map(|unit| unit.p50);
        runs.push(RunStats { hashes: report.hashes, seconds: report.seconds, p50 });
        usages.push(Usage { cpu: report.cpu_seconds, ..usage });
    }
    outcome(&runs, &usages, &meter.usages()?)
}

fn bare_sockets(seconds: u16, io: IoModel, loops: usize, messages: &Path) -> Result<Outcome> {
    let io = io.to_possible_value().context("an I/O model without a name")?;
    let program = process::own_path()?;
    let messages = messages.to_str().context("the path is not valid UTF-8")?;
    let start = |role: &[&str]| {
        Process::start(&program, &[&["bare", io.get_name(), messages], role].concat(), &[])
    };
    let (rng, hasher) = (start(&["rng"]), start(&["hasher"]));
    let addresses = [&rng, &hasher].map(|service| service.address("LISTEN").to_string());
    let worker = ["worker", &addresses[0], &addresses[1], &loops.to_string(), &seconds.to_string()];
    let meter = Meter::start(&[rng.id(), hasher.id()])?;
    let (run, usage) = process::measure_run(start(&worker))?;
    outcome(&[run], &[usage], &meter.usages()?)
}

fn no_network(seconds: u16, threads: usize) -> Result<Outcome> {
    let args = ["no-network", &threads.to_string(), &seconds.to_string()];
    let process = Process::start(process::own_path()?, &args, &[]);
    let (run, usage) = process::measure_run(process)?;
    outcome(&[run], &[usage], &[])
}

fn outcome(runs: &[RunStats], workers: &[Usage], services: &[Usage]) -> Result<Outcome> {
    let hashes: u64 = runs.iter().map(|run| run.hashes).sum();
    ensure!(hashes > 0, "no hash was computed; a longer run, with --seconds, may help");
    // Workers that run at the same time do not end at exactly the same time.
    let seconds = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let cpu: f64 = workers.iter().chain(services).map(|usage| usage.cpu).sum();
    let p50s: Vec<f64> = runs.iter().filter_map(|run| run.p50).collect();
    let largest_worker = workers.iter().map(|usage| usage.memory).max();
    let services = services.iter().map(|usage| usage.memory);
    Ok(Outcome {
        hashes_per_second: hashes as f64 / seconds,
        cpu_per_hash: cpu / hashes as f64 * 1e6,
        p50: (!p50s.is_empty()).then(|| median(&p50s, |seconds| seconds * 1e6)),
        memory: largest_worker.into_iter().chain(services).collect(),
    })
}
