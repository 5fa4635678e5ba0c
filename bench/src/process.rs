//! The processes that are measured: our programs, from where this one is, and redis.

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

/// How long a process that says that it is done may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at what changes.
const LOOK: Duration = Duration::from_millis(20);

/// How long a process that has started may still be busy with that.
const START: Duration = Duration::from_millis(300);

/// What a process has used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time, in seconds.
    pub(crate) cpu: f64,
    /// The most memory at once, in bytes.
    pub(crate) memory: u64,
}

/// Our own program, which is also each process of the yardsticks.
pub(crate) fn this() -> Result<String> {
    std::env::current_exe()?.into_os_string().into_string().ok().context("no path in UTF-8")
}

/// Where one of our programs is.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    let path = Path::new(&this()?).with_file_name(name);
    ensure!(path.exists(), "{} is missing; run `cargo build --release` first", path.display());
    Ok(path)
}

/// Starts one of our programs on free ports.
pub(crate) fn program(name: &str, settings: &[(&str, &str)]) -> Result<Process> {
    Ok(Process::service(path(name)?, settings))
}

/// Starts a redis that writes nothing to disk.
pub(crate) fn redis() -> Result<Redis> {
    Redis::start_with(&["--appendonly", "no"]).context("bench needs a redis-server")
}

/// Lets this process and those that it starts have as many files open as the host allows, which has
/// to be so many.
pub(crate) fn raise_file_limit(needed: u64) -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    ensure!(
        maximum.is_none_or(|maximum| maximum >= needed),
        "the hard limit of open files is {}, and a process needs up to {needed}; right would \
         be `ulimit -n {needed}`, as root",
        maximum.unwrap_or_default()
    );
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many sockets a process has open.
pub(crate) fn sockets(id: u32) -> Result<usize> {
    let files = procfs::process::Process::new(i32::try_from(id)?)?.fd()?.flatten();
    Ok(files.filter(|file| matches!(file.target, FDTarget::Socket(_))).count())
}

/// What a process that runs has used so far.
pub(crate) fn usage(id: u32) -> Result<Usage> {
    let process = procfs::process::Process::new(i32::try_from(id)?)?;
    let (stat, status) = (process.stat()?, process.status()?);
    let whole = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let times = process.tasks()?.flatten().filter_map(|thread| thread.schedstat().ok());
    let threads = times.map(|time| time.sum_exec_runtime as f64 / 1e9).sum::<f64>();
    // The process counts whole ticks only, and its threads are exact but gone when they have ended.
    Ok(Usage { cpu: whole.max(threads), memory: status.vmhwm.unwrap_or_default() * 1024 })
}

/// Tries something again until it succeeds, or until `patience` ends with an error.
pub(crate) fn retry<T>(patience: Duration, attempt: impl Fn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + patience;
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => thread::sleep(LOOK),
            result => return result,
        }
    }
}

/// Waits until processes that listen have nothing more to do for their start.
pub(crate) fn settle() {
    thread::sleep(START);
}

/// Processes that have started, and the CPU time that this took.
pub(crate) struct Started(Vec<(u32, f64)>);

impl Started {
    /// Waits until these processes, which listen, have started.
    pub(crate) fn new(ids: &[u32]) -> Result<Self> {
        settle();
        Ok(Self(ids.iter().map(|&id| Ok((id, usage(id)?.cpu))).collect::<Result<_>>()?))
    }

    /// What each of them has used since then.
    pub(crate) fn usages(&self) -> Result<Vec<Usage>> {
        let since = |&(id, before)| {
            let Usage { cpu, memory } = usage(id)?;
            Ok(Usage { cpu: cpu - before, memory })
        };
        self.0.iter().map(since).collect()
    }
}

/// Waits for the end of a process that measures itself; returns what it says and what it has used.
pub(crate) fn measured<T: DeserializeOwned>(mut process: Process) -> Result<(T, Usage)> {
    let mut most = Usage::default();
    // What it has used can be read only while it runs, and its memory is gone while it exits.
    while process.is_running() {
        if let Ok(Usage { cpu, memory }) = usage(process.id()) {
            most = Usage { cpu: cpu.max(most.cpu), memory: memory.max(most.memory) };
        }
        thread::sleep(LOOK);
    }
    let ended = process.wait(PATIENCE);
    let lines = process.lines();
    ensure!(ended.success(), "it has failed:\n{}", lines.join("\n"));
    let said = lines.iter().find(|line| line.starts_with('{')).context("it says nothing")?;
    Ok((serde_json::from_str(said)?, most))
}
