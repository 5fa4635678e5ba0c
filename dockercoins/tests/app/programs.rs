//! The programs of the workspace as separate processes, and what their tests share.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use testkit::{Process, http};

/// How long anything that is expected may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a program may take to end. It takes a tenth of that where nothing else runs.
const SOON: Duration = Duration::from_secs(2);

/// The services, each of which is a program of its own.
pub(crate) const SERVICES: [&str; 4] = ["rng", "hasher", "webui", "worker"];

/// A redis that is not there.
pub(crate) const NO_REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:1");

/// The path of a program, which is beside that of the application.
pub(crate) fn path(name: &str) -> PathBuf {
    testkit::sibling(env!("CARGO_BIN_EXE_dockercoins"), name)
}

/// Starts a service on free ports; without a redis, unless the settings name one.
pub(crate) fn service(name: &str, settings: &[(&str, &str)]) -> Process {
    Process::service(path(name), &[&[NO_REDIS], settings].concat())
}

/// Starts the application in one process, on free ports.
pub(crate) fn application(args: &[&str], settings: &[(&str, &str)]) -> Process {
    let ports = ["--webui-port=0", "--rng-port=0", "--hasher-port=0", "--admin-port=0"];
    Process::start(path("dockercoins"), &[&ports, args].concat(), settings)
}

/// Sends fifty requests and waits for no answer.
pub(crate) fn ask_fifty_times(address: SocketAddr, request: &str, body: &[u8]) -> Vec<TcpStream> {
    (0..50).map(|_| http::ask(address, request, body).unwrap()).collect()
}

/// Sends a signal and expects exit code 0 soon.
pub(crate) fn assert_ends_soon(name: &str, process: &mut Process, signal: fn(&Process)) {
    let start = Instant::now();
    signal(process);
    let status = process.wait(PATIENCE);
    let time = start.elapsed();
    println!("{name} ended {time:.1?} after the signal");
    assert_eq!(status.code(), Some(0), "{name}:\n{}", process.lines().join("\n"));
    assert!(time < SOON, "{name} took {time:?}");
}
