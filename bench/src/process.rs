//! The processes that are measured: the programs in the folder of this one, and redis.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use procfs::process::FDTarget;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::de::DeserializeOwned;
use testkit::{Process, Redis};

/// How long the status of a process that has ended may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Interval between two attempts, and between two readings of the usage of a process.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a listening process may still use CPU time for its start.
const STARTUP: Duration = Duration::from_millis(300);

/// The CPU time and the memory that a process has used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time, in seconds.
    pub(crate) cpu: f64,
    /// Peak of the resident memory, in bytes.
    pub(crate) memory: u64,
}

/// The path of this program, which also runs as each process of the baselines.
pub(crate) fn own_path() -> Result<String> {
    std::env::current_exe()?
        .into_os_string()
        .into_string()
        .ok()
        .context("the path is not valid UTF-8")
}

/// The path of a program of the workspace. It is an error if the program does not exist.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    let path = Path::new(&own_path()?).with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing; run `cargo build --profile image && cargo run --profile image -p bench`",
        path.display()
    );
    Ok(path)
}

/// Starts a program of the workspace on free ports.
pub(crate) fn program(name: &str, settings: &[(&str, &str)]) -> Result<Process> {
    Ok(Process::service(path(name)?, settings))
}

/// Starts a redis that writes nothing to disk.
pub(crate) fn redis() -> Result<Redis> {
    Redis::start_with(&["--appendonly", "no"]).context("bench needs redis-server")
}

/// Raises the limit of open files of this process and its children to the hard limit. It is an
/// error if that is less than `needed`.
pub(crate) fn raise_file_limit(needed: u64) -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    ensure!(
        maximum.is_none_or(|maximum| maximum >= needed),
        "the hard limit of open files is {}, but a process needs up to {needed}; run \
         `ulimit -n {needed}` as root",
        maximum.unwrap_or_default()
    );
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// The number of open sockets of a process.
pub(crate) fn sockets(id: u32) -> Result<usize> {
    let files = procfs::process::Process::new(i32::try_from(id)?)?.fd()?.flatten();
    Ok(files.filter(|file| matches!(file.target, FDTarget::Socket(_))).count())
}

/// The usage of a running process so far.
pub(crate) fn usage(id: u32) -> Result<Usage> {
    let process = procfs::process::Process::new(i32::try_from(id)?)?;
    let (stat, status) = (process.stat()?, process.status()?);
    let in_ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let times = process.tasks()?.flatten().filter_map(|thread| thread.schedstat().ok());
    let threads = times.map(|time| time.sum_exec_runtime as f64 / 1e9).sum::<f64>();
    // The time of the process is in whole ticks. That of its threads is exact, but without the
    // threads that have ended.
    Ok(Usage { cpu: in_ticks.max(threads), memory: status.vmhwm.unwrap_or_default() * 1024 })
}

/// Repeats an attempt until it succeeds. Returns its last error after `timeout`.
pub(crate) fn retry<T>(timeout: Duration, attempt: impl Fn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + timeout;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => thread::sleep(POLL_INTERVAL),
            result => return result,
        }
    }
}

/// Waits until listening processes have completed their start.
pub(crate) fn settle() {
    thread::sleep(STARTUP);
}

/// Measures the usage of processes after their start.
pub(crate) struct Meter(Vec<(u32, f64)>);

impl Meter {
    /// Waits until these listening processes have completed their start.
    pub(crate) fn start(ids: &[u32]) -> Result<Self> {
        settle();
        Ok(Self(ids.iter().map(|&id| Ok((id, usage(id)?.cpu))).collect::<Result<_>>()?))
    }

    /// The usage of each process since then; the memory is the peak since its start.
    pub(crate) fn usages(&self) -> Result<Vec<Usage>> {
        let since = |&(id, before)| {
            let Usage { cpu, memory } = usage(id)?;
            Ok(Usage { cpu: cpu - before, memory })
        };
        self.0.iter().map(since).collect()
    }
}

/// Waits until a process has ended; returns its report, which is one line of JSON on stdout, and
/// its usage.
pub(crate) fn measure_run<T: DeserializeOwned>(mut process: Process) -> Result<(T, Usage)> {
    let mut peak = Usage::default();
    // The usage can be read only while the process runs, and its memory is 0 while it exits.
    while process.is_running() {
        if let Ok(Usage { cpu, memory }) = usage(process.id()) {
            peak = Usage { cpu: cpu.max(peak.cpu), memory: memory.max(peak.memory) };
        }
        thread::sleep(POLL_INTERVAL);
    }
    let status = process.wait(TIMEOUT);
    let lines = process.lines();
    ensure!(status.success(), "the process failed:\n{}", lines.join("\n"));
    let report = lines.iter().find(|line| line.starts_with('{')).context("no report")?;
    Ok((serde_json::from_str(report)?, peak))
}
