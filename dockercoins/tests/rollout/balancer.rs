//! A real haproxy that sends requests where `/readyz` says so.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command},
};

use tempfile::TempDir;
use testkit::{Process, eventually};

use crate::PATIENCE;

/// Debian has it where only root looks.
const PROGRAMS: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

/// How the balancer uses connections to its servers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Connections {
    PerRequest,
    KeepAlive,
    /// It forwards connections, and knows nothing of what they carry.
    Forwarded,
}

/// A running haproxy. Killed when dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    folder: TempDir,
    haproxy: Child,
}

impl Balancer {
    /// Starts one without servers, or says that the test is skipped because there is no haproxy.
    pub(crate) fn start(connections: Connections) -> Option<Self> {
        let runs = |program: &&str| Command::new(program).arg("-v").output().is_ok();
        let Some(program) = PROGRAMS.into_iter().find(runs) else {
            testkit::skip("there is no haproxy; apt-get install haproxy brings it");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("haproxy.cfg");
        fs::write(&path, configuration(&folder, connections)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        // haproxy cannot say which port it got, so it inherits a socket that has one already.
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
        eventually(PATIENCE, "haproxy starts", || balancer.connect().is_ok());
        Some(balancer)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fills the place of a server, and waits until it is ready and gets requests.
    pub(crate) fn add(&self, name: &str, process: &Process) {
        let (address, admin) = (process.address("LISTEN"), process.address("ADMIN_LISTEN"));
        let (ip, port, check) = (address.ip(), address.port(), admin.port());
        let set = format!("set server service/{name}");
        // Down until a check succeeds; haproxy would trust a new server at once.
        self.command(&format!(
            "{set} addr {ip} port {port}; {set} check-port {check}; {set} state ready; \
             {set} health down"
        ));
        eventually(PATIENCE, "the balancer finds the server ready", || self.uses(name));
        // No check has more time than the interval, which a busy machine may exceed.
        self.command(&format!("disable health service/{name}"));
    }

    /// Checks a server from now on, and stops using it when a check fails.
    pub(crate) fn watch(&self, name: &str) {
        self.command(&format!("enable health service/{name}"));
    }

    /// Whether a server gets requests.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.statistic(name, "status") == "UP"
    }

    /// How many requests went to a server on a connection that had carried others.
    pub(crate) fn reuses(&self, name: &str) -> u64 {
        self.statistic(name, "reuse").parse().unwrap()
    }

    /// What its log says besides requests that went well.
    pub(crate) fn complaints(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        log.lines().filter(|line| !line.contains(" 200 ")).collect::<Vec<_>>().join("\n")
    }

    fn statistic(&self, name: &str, column: &str) -> String {
        let table = self.command("show stat");
        let index = table.split(['\n', ',']).position(|title| title == column);
        let row = table.lines().find_map(|line| line.strip_prefix(&format!("service,{name},")));
        // The row is without its first two columns.
        let value = row.zip(index).and_then(|(row, index)| row.split(',').nth(index - 2));
        value.unwrap_or_else(|| panic!("no {column} of {name} in:\n{table}")).to_owned()
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.folder.path().join("socket"))
    }

    fn command(&self, command: &str) -> String {
        let mut socket = self.connect().unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.haproxy.kill();
        let _ = self.haproxy.wait();
    }
}

fn configuration(folder: &TempDir, connections: Connections) -> String {
    let folder = folder.path().display();
    let connections = match connections {
        Connections::PerRequest => "option httpclose",
        Connections::KeepAlive => "http-reuse always",
        Connections::Forwarded => "mode tcp",
    };
    // Without retries, and they are on unless switched off, every failure reaches a client.
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
