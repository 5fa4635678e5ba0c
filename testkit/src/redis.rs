//! A real redis-server that can be killed and started again with the same files.

use std::{
    path::{Path, PathBuf},
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
    tls: bool,
    server: Option<Process>,
}

impl Redis {
    /// Starts a server. Skips the test if redis-server is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        Self::start_as(args, false)
    }

    /// Starts a server that accepts only TLS, with a certificate from its own authority.
    pub fn start_with_tls() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            crate::skip("openssl is missing; apt-get install openssl");
            return None;
        }
        Self::start_as(&[], true)
    }

    fn start_as(args: &[&str], tls: bool) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            crate::skip("redis-server is missing; apt-get install redis-server");
            return None;
        }
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // redis cannot choose a free port itself. If the port is in use, it exits, and the next
        // port is tried.
        loop {
            let folder = tempfile::tempdir().expect("a temporary folder");
            if tls {
                make_certificates(folder.path());
            }
            let (port, args) = (some_port(), args.clone());
            let mut redis = Self { folder, port, args, tls, server: None };
            if redis.try_start() {
                return Some(redis);
            }
        }
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Host and port of the server.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    pub fn id(&self) -> u32 {
        self.server.as_ref().expect("a running server").id()
    }

    /// Ends the server with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again with the same port and files.
    pub fn start_again(&mut self) {
        assert!(self.try_start(), "redis does not start again on port {}", self.port);
    }

    /// Runs a command with redis-cli and returns what it prints.
    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]);
        if self.tls {
            command.arg("--tls").arg("--cacert").arg(self.authority());
        }
        let output = command.args(args).output().expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The counter `hashes`, or 0 if it does not exist.
    pub fn hashes(&self) -> u64 {
        let hashes = self.cli(&["GET", "hashes"]);
        if hashes.is_empty() { 0 } else { hashes.parse().expect("a number") }
    }

    /// The hash `wallet`: fields as stored and values in hex, sorted.
    pub fn wallet(&self) -> Vec<(String, String)> {
        const IN_HEX: &str = "local wallet = redis.call('HGETALL', 'wallet')
            for i = 2, #wallet, 2 do
              wallet[i] = wallet[i]:gsub('.', function(c) return ('%02x'):format(c:byte()) end)
            end
            return wallet";
        let lines = self.cli(&["EVAL", IN_HEX, "0"]);
        let lines: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
        let coins = lines.chunks_exact(2).map(|coin| (coin[0].to_owned(), coin[1].to_owned()));
        let mut coins: Vec<_> = coins.collect();
        coins.sort();
        coins
    }

    fn try_start(&mut self) -> bool {
        let (port, folder) = (self.port.to_string(), self.folder.path().to_string_lossy());
        let (certificate, key) = (format!("{folder}/redis.crt"), format!("{folder}/redis.key"));
        let mut args = vec!["--bind", "127.0.0.1", "--dir", &folder];
        if self.tls {
            args.extend(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            args.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key]);
            args.extend(["--tls-ca-cert-file", &certificate]);
        } else {
            args.extend(["--port", &port]);
        }
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

/// Creates an authority and a certificate for 127.0.0.1 that it signs.
fn make_certificates(folder: &Path) {
    let openssl = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(folder).output();
        let output = output.expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("req -x509 {key} -subj /CN=ca -keyout ca.key -out ca.crt"));
    let usage = "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE";
    openssl(&format!(
        "req -x509 {key} -subj /CN=redis {usage} -CA ca.crt -CAkey ca.key \
         -keyout redis.key -out redis.crt"
    ));
}

/// A port below the range of ephemeral ports, different for each call and process.
fn some_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mixed = std::process::id().wrapping_mul(7919).wrapping_add(call.wrapping_mul(104_729));
    10_000 + (mixed % 20_000) as u16
}
