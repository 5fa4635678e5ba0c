//! A child process whose output a test can wait for.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Settings with which a service listens on free ports.
pub const FREE_PORTS: [(&str, &str); 2] =
    [("LISTEN", "127.0.0.1:0"), ("ADMIN_LISTEN", "127.0.0.1:0")];

/// The path of a program of the workspace, which cargo builds into the folder of `program`.
pub fn sibling(program: &str, name: &str) -> PathBuf {
    let path = Path::new(program).with_file_name(name);
    assert!(path.exists(), "{} is missing; run cargo build --workspace", path.display());
    path
}

/// A running program. Killed when dropped.
pub struct Process {
    child: Child,
    output: Arc<Output>,
    collectors: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    errors: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    /// Starts a program whose environment contains only these variables.
    pub fn start(program: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Self {
        let program = program.as_ref();
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let output = Arc::new(Output::default());
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let collectors =
            vec![collect(stdout, output.clone(), false), collect(stderr, output.clone(), true)];
        Self { child, output, collectors }
    }

    /// Starts a service of the workspace on free ports. A worker ignores `LISTEN`.
    pub fn service(program: impl AsRef<Path>, settings: &[(&str, &str)]) -> Self {
        Self::start(program, &[], &[&FREE_PORTS, settings].concat())
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The peak of its resident memory so far, in bytes, which only Linux reports.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(status).expect("a running process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// The lines written to stdout and stderr so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.lock().unwrap().clone()
    }

    /// The lines written to stderr so far.
    pub fn errors(&self) -> Vec<String> {
        self.output.errors.lock().unwrap().clone()
    }

    /// Waits for a line that contains `text` and returns it. Panics after `timeout`.
    pub fn wait_for(&self, text: &str, timeout: Duration) -> String {
        self.wait_until(timeout, text, |lines| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits until `find` returns a value. Panics after `timeout`.
    pub fn wait_until<T>(
        &self,
        timeout: Duration,
        expected: &str,
        find: impl Fn(&[String]) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + timeout;
        let mut lines = self.output.lines.lock().unwrap();
        loop {
            if let Some(result) = find(&lines) {
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no {expected:?} within {timeout:?} in:\n{}",
                lines.join("\n")
            );
            lines = self.output.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The address that the program logs for a setting, such as `LISTEN`.
    pub fn address(&self, setting: &str) -> SocketAddr {
        let line = self.wait_for(&format!("({setting})"), Duration::from_secs(10));
        let address = line.split("listening on ").nth(1).and_then(|after| after.split(' ').next());
        let mut address: SocketAddr = address.expect("an address").parse().expect("an address");
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        address
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGHUP, as a terminal does when it closes.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be awaited");
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).expect("a child can be signalled");
    }

    /// Waits until the process has ended and all its lines are collected. Panics after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be awaited") {
                self.collectors.drain(..).for_each(|collector| collector.join().unwrap());
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {timeout:?}:\n{}",
                self.lines().join("\n")
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be awaited").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(
    stream: impl BufRead + Send + 'static,
    output: Arc<Output>,
    is_stderr: bool,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in stream.lines().map_while(Result::ok) {
            if is_stderr {
                output.errors.lock().unwrap().push(line.clone());
            }
            output.lines.lock().unwrap().push(line);
            output.more.notify_all();
        }
    })
}
