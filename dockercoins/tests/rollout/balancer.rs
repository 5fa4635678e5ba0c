//! A real haproxy that sends requests to the servers whose `/readyz` succeeds.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command},
};

use tempfile::TempDir;
use testkit::{Process, eventually};

use crate::TIMEOUT;

/// Debian installs haproxy in a folder that only the PATH of root contains.
const PROGRAMS: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

/// How the balancer uses connections to its servers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum BalancerMode {
    PerRequest,
    KeepAlive,
    /// It forwards whole connections, whatever their protocol.
    Forwarded,
}

/// A running haproxy. Killed when dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    folder: TempDir,
    haproxy: Child,
}

impl Balancer {
    /// Starts a balancer without servers. Skips the test if haproxy is not installed.
    pub(crate) fn start(connections: BalancerMode) -> Option<Self> {
        let runs = |program: &&str| Command::new(program).arg("-v").output().is_ok();
        let Some(program) = PROGRAMS.into_iter().find(runs) else {
            testkit::skip("haproxy is missing; apt-get install haproxy");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("haproxy.cfg");
        fs::write(&path, configuration(&folder, connections)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        // haproxy does not report its port, so it inherits a listening socket.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let haproxy = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(path)
            .stdin(OwnedFd::from(listener))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let balancer = Self { address, folder, haproxy };
        eventually(TIMEOUT, "haproxy starts", || balancer.connect().is_ok());
        Some(balancer)
    }

    /// The address for clients.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a server in one of the two slots, and waits until it is ready and gets requests.
    pub(crate) fn add(&self, name: &str, process: &Process) {
        let (address, admin) = (process.address("LISTEN"), process.address("ADMIN_LISTEN"));
        let (ip, port, check) = (address.ip(), address.port(), admin.port());
        let set = format!("set server service/{name}");
        // Without `health down`, haproxy would use a new server before its first check.
        self.command(&format!(
            "{set} addr {ip} port {port}; {set} check-port {check}; {set} state ready; \
             {set} health down"
        ));
        eventually(TIMEOUT, "the balancer finds the server ready", || self.uses(name));
        // A check may take no longer than the interval, which is too short on a busy machine.
        self.command(&format!("disable health service/{name}"));
    }

    /// Starts the checks of a server; when one fails, the server gets no more requests.
    pub(crate) fn watch(&self, name: &str) {
        self.command(&format!("enable health service/{name}"));
    }

    /// Whether a server gets requests.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.statistic(name, "status") == "UP"
    }

    /// The number of requests to a server on reused connections.
    pub(crate) fn reuses(&self, name: &str) -> u64 {
        self.statistic(name, "reuse").parse().unwrap()
    }

    /// The lines of its log except those of successful requests.
    pub(crate) fn errors(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        log.lines().filter(|line| !line.contains(" 200 ")).collect::<Vec<_>>().join("\n")
    }

    fn statistic(&self, name: &str, column: &str) -> String {
        let table = self.command("show stat");
        let index = table.split(['\n', ',']).position(|title| title == column);
        let row = table.lines().find_map(|line| line.strip_prefix(&format!("service,{name},")));
        // The row lacks its first two columns.
        let value = row.zip(index).and_then(|(row, index)| row.split(',').nth(index - 2));
        value.unwrap_or_else(|| panic!("no {column} of {name} in:\n{table}")).to_owned()
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.folder.path().join("socket"))
    }

    fn command(&self, command: &str) -> String {
        let mut socket = self.connect().unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.haproxy.kill();
        let _ = self.haproxy.wait();
    }
}

fn configuration(folder: &TempDir, connections: BalancerMode) -> String {
    let folder = folder.path().display();
    let connections = match connections {
        BalancerMode::PerRequest => "option httpclose",
        BalancerMode::KeepAlive => "http-reuse always",
        BalancerMode::Forwarded => "mode tcp",
    };
    // Without retries, which are on by default, every failure reaches a client.
    format!(
        "global
  nbthread 1
  stats socket {folder}/socket level admin
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
  timeout check 10s
listen service
  bind fd@0
  balance roundrobin
  option httpchk GET /readyz
  retries 0
  {connections}
  default-server check inter 200ms fall 1 rise 1 disabled
  server old 127.0.0.1:1
  server new 127.0.0.1:1
"
    )
}
