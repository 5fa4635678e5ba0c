//! The programs of the workspace as separate processes, for the tests of this folder.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use testkit::{Client, Process};

/// How long an expected effect may take on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time for a graceful exit: less than the default `SHUTDOWN_TIMEOUT` of 8 s, after which
/// requests that hang are cut off.
const SOON: Duration = Duration::from_secs(7);

/// The services, each of which is a program.
pub(crate) const SERVICES: [&str; 4] = ["rng", "hasher", "webui", "worker"];

/// The URL of a redis that does not exist.
pub(crate) const NO_REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1:1");

/// The path of a program, which is in the folder of the application.
pub(crate) fn path(name: &str) -> PathBuf {
    testkit::sibling(env!("CARGO_BIN_EXE_dockercoins"), name)
}

/// Starts a service on free ports, without a redis unless the settings give its URL.
pub(crate) fn service(name: &str, settings: &[(&str, &str)]) -> Process {
    Process::service(path(name), &[&[NO_REDIS], settings].concat())
}

/// Starts the application in one process, on free ports.
pub(crate) fn application(args: &[&str], settings: &[(&str, &str)]) -> Process {
    let ports = ["--webui-port=0", "--rng-port=0", "--hasher-port=0", "--admin-port=0"];
    Process::start(path("dockercoins"), &[&ports, args].concat(), settings)
}

/// Sends fifty requests without waiting for their responses.
pub(crate) fn send_fifty_requests(address: SocketAddr, request: &str, body: &[u8]) -> Vec<Client> {
    (0..50).map(|_| Client::start(address, request, body).unwrap()).collect()
}

/// Sends a signal, and expects exit code 0 soon.
pub(crate) fn assert_ends_soon(name: &str, process: &mut Process, signal: fn(&Process)) {
    let start = Instant::now();
    signal(process);
    let status = process.wait(TIMEOUT);
    let time = start.elapsed();
    println!("{name} ended {time:.1?} after the signal");
    assert_eq!(status.code(), Some(0), "{name}:\n{}", process.lines().join("\n"));
    assert!(time < SOON, "{name} took {time:?}");
}
