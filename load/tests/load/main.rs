//! The real load generator against hand-made peers and a real redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod compare;
mod failures;
mod report;
mod schedule;
mod settings;
mod terminal;

use std::{
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use testkit::{
    Process, build, metrics,
    peer::{self, Peer},
};

/// How long any expected event may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The URL of a redis that refuses connections.
const NO_REDIS: &str = "redis://127.0.0.1:1";

/// Starts a load without delays, with further settings.
fn load(rng: &Peer, hasher: &Peer, redis_url: &str, settings: &[(&str, &str)]) -> Process {
    let (rng, hasher) = (rng.url(), hasher.url());
    let own = [
        ("RNG_URL", rng.as_str()),
        ("HASHER_URL", &hasher),
        ("REDIS_URL", redis_url),
        ("DELAY", "0s"),
        ("INTERVAL", "20ms"),
    ];
    Process::service(env!("CARGO_BIN_EXE_load"), &[&own, settings].concat())
}

/// Waits for the end, and returns the exit code, the lines of stdout, and stderr.
fn end(mut load: Process) -> (Option<i32>, Vec<String>, String) {
    let code = load.wait(TIMEOUT).code();
    let errors = load.errors();
    let output = load.lines().into_iter().filter(|line| !errors.contains(line)).collect();
    (code, output, errors.join("\n"))
}

/// Waits for the end, and returns the exit code, the report in JSON, and stderr.
fn json(load: Process) -> (Option<i32>, Value, String) {
    let (code, output, errors) = end(load);
    let [object] = &output[..] else { panic!("not one line: {output:?}\n{errors}") };
    (code, serde_json::from_str(object).unwrap(), errors)
}

/// The last line of a failed load.
fn error_line(errors: &str) -> &str {
    let mut lines = errors.lines().filter(|line| line.starts_with("error: "));
    lines.next().unwrap_or_else(|| panic!("no error in:\n{errors}"))
}

/// A hasher that delays its first response.
fn slow_once(delay: Duration) -> Peer {
    let is_first = AtomicBool::new(true);
    Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        if is_first.swap(false, Ordering::Relaxed) {
            thread::sleep(delay);
        }
        peer::hash(peer, body, stream)
    })
}

/// A hasher that fails this number of times, and succeeds after that.
fn failing(times: u64) -> Peer {
    Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| match peer.requests() {
        request if request > times => peer::hash(peer, body, stream),
        _ => server_error(peer, body, stream),
    })
}

/// Responds with status 500, and closes the connection.
fn server_error(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    peer::only(*b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")(peer, body, stream)
}

#[test]
fn metrics_name_the_program() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let load = load(&rng, &hasher, NO_REDIS, &[("DURATION", "1h")]);
    assert_eq!(metrics(load.address("ADMIN_LISTEN"))[&build("load")], 1.0);
}

#[test]
fn a_load_is_healthy_whatever_its_settings() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let load = load(&rng, &hasher, NO_REDIS, &[("DURATION", "1h")]);
    let address = load.address("ADMIN_LISTEN").to_string();
    // The health check of a container knows its variables, but not the flags of the load.
    for settings in [&[][..], &[("COMPARE", "--concurrency 2"), ("EXPECT", "ratio>1")]] {
        let env = [&[("ADMIN_LISTEN", address.as_str())], settings].concat();
        let check = Process::start(env!("CARGO_BIN_EXE_load"), &["healthcheck"], &env);
        let (code, _, errors) = end(check);
        assert_eq!(code, Some(0), "{settings:?}: {errors}");
    }
}

// Only Linux reports the threads of a process.
#[cfg(target_os = "linux")]
#[test]
fn one_loop_in_each_variant_takes_one_worker_thread_unless_more_are_configured() {
    let Some(redis) = testkit::Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let cores = std::thread::available_parallelism().unwrap().get();
    for (settings, is_one) in [
        (&[][..], true),
        (&[("THREADS", "2")], false),
        (&[("CONCURRENCY", "2")], cores == 1),
        (&[("CONCURRENCY", "2"), ("THREADS", "1")], true),
        (&[("COMPARE", "--connections keep-alive")], true),
        (&[("COMPARE", "--concurrency 2")], cores == 1),
    ] {
        let settings = [&[("DURATION", "1h")], settings].concat();
        let load = load(&rng, &hasher, &redis.url(), &settings);
        let before = redis.hashes();
        testkit::eventually(TIMEOUT, "the load counts", || redis.hashes() > before);
        let threads = metrics(load.address("ADMIN_LISTEN"))["process_threads"];
        // Plus the blocking thread, which resolves names.
        assert_eq!(threads == 2.0, is_one, "{threads} threads with {settings:?}");
    }
}
