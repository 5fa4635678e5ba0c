//! A real redis-server that can be killed and started again where it was.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::Process;

/// A redis-server that writes every acknowledged command to disk. Killed when dropped.
pub struct Redis {
    folder: TempDir,
    port: u16,
    args: Vec<String>,
    server: Option<Process>,
}

impl Redis {
    /// Starts a server, or says that the test is skipped because there is none.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            crate::skip("there is no redis-server; apt-get install redis-server brings it");
            return None;
        }
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // redis cannot choose a port itself; a taken one makes it end at once, and the next is tried.
        loop {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut redis = Self { folder, port: some_port(), args: args.clone(), server: None };
            if redis.try_start() {
                return Some(redis);
            }
        }
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again, on the same port and the same files.
    pub fn start_again(&mut self) {
        assert!(self.try_start(), "redis does not start again on port {}", self.port);
    }

    /// Runs a command with redis-cli and returns what it prints.
    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output();
        let output = output.expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn try_start(&mut self) -> bool {
        let (port, folder) = (self.port.to_string(), self.folder.path().to_string_lossy());
        let mut args = vec!["--port", &port, "--bind", "127.0.0.1", "--dir", &folder];
        args.extend(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        args.extend(self.args.iter().map(String::as_str));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut server = Process::start("redis-server", &args, &[("PATH", &path)]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.is_running() {
            if server.lines().iter().any(|line| line.contains("eady to accept connections")) {
                self.server = Some(server);
                return true;
            }
            assert!(Instant::now() < deadline, "redis does not start: {:?}", server.lines());
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

/// A port below those that the kernel gives to clients, different for each call and process.
fn some_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mixed = std::process::id().wrapping_mul(7919).wrapping_add(call.wrapping_mul(104_729));
    10_000 + (mixed % 20_000) as u16
}
