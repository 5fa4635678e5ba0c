//! The processes that are measured: our programs, from where this one is, and redis.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child process, which does not outlive its value.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
    address: Option<SocketAddr>,
}

/// What a process has used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time, in seconds.
    pub(crate) cpu: f64,
    /// The most memory at once, in bytes.
    pub(crate) memory: u64,
}

/// The program of this name beside this one.
fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is missing; `cargo build --release` makes it", path.display());
    Ok(path)
}

impl Process {
    /// Starts one of our services on any port, and waits until it listens.
    pub(crate) fn service(name: &'static str, env: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary(name)?);
        command.env("LISTEN", "127.0.0.1:0").env("ADMIN_LISTEN", "127.0.0.1:0");
        Self::listening(name, command.envs(env.iter().copied()))
    }

    /// Starts a process that says where it listens.
    pub(crate) fn listening(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context(name)?;
        let mut process = Self { name, child, address: None };
        let mut lines = BufReader::new(process.child.stdout.take().context("no stdout")?).lines();
        for line in lines.by_ref() {
            let line = line?;
            let listening =
                line.strip_suffix("(LISTEN)").and_then(|line| line.split("listening on ").nth(1));
            if let Some(address) = listening {
                process.address = Some(address.trim().parse()?);
                // A pipe that is full would stop the process.
                thread::spawn(move || lines.for_each(drop));
                return Ok(process);
            }
        }
        bail!("{name} has ended before it listened")
    }

    /// Starts a worker that mines until it is dropped.
    pub(crate) fn worker(env: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary("worker")?);
        command.env("ADMIN_LISTEN", "127.0.0.1:0").envs(env.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { name: "worker", child, address: None })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.address.context("it does not listen")
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn usage(id: u32) -> Result<Usage> {
    let process = procfs::process::Process::new(i32::try_from(id)?)?;
    let (stat, status) = (process.stat()?, process.status()?);
    let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Ok(Usage { cpu, memory: status.vmhwm.unwrap_or_default() * 1024 })
}

/// Runs a program that measures itself, to its end; returns what it says and what it has used.
pub(crate) fn measured<T: DeserializeOwned + Send + 'static>(
    command: &mut Command,
) -> Result<(T, Usage)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let id = child.id();
    let mut last = Usage::default();
    let stdout = child.stdout.take().context("no stdout")?;
    let said = thread::spawn(move || serde_json::from_reader(BufReader::new(stdout)));
    // What it has used can be read only while it runs.
    while child.try_wait()?.is_none() {
        last = usage(id).unwrap_or(last);
        thread::sleep(Duration::from_millis(20));
    }
    ensure!(child.wait()?.success(), "{command:?} has failed");
    let said = said.join().map_err(|_| anyhow::anyhow!("no reader"))??;
    Ok((said, last))
}

/// Our worker, to measure a load.
pub(crate) fn load(env: &[(&str, &str)]) -> Result<Command> {
    let mut command = Command::new(binary("worker")?);
    command.env("ADMIN_LISTEN", "127.0.0.1:0").env("OUTPUT", "json").envs(env.iter().copied());
    Ok(command)
}

/// A redis of our own.
pub(crate) struct Redis {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Redis {
    /// Starts redis on any port.
    pub(crate) fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        let null = File::options().write(true).open("/dev/null")?;
        let child = command.stdin(Stdio::null()).stdout(null).spawn().context("redis-server")?;
        let process = Process { name: "redis", child, address: None };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(started.elapsed() < PATIENCE, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, url: format!("redis://127.0.0.1:{port}") })
    }
}
