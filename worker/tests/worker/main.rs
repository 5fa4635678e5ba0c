//! The worker program with scripted peers and a real redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bulk;
mod exactness;
mod faults;
mod logs;
mod proxy;
mod responses;
mod shutdown;
mod tls;

use std::{thread, time::Duration};

use testkit::{
    Process, Redis, build, eventually, metrics,
    peer::{self, Peer},
};

/// How long an expected effect may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a worker without delays, with further settings.
fn worker(rng: &Peer, hasher: &Peer, redis_url: &str, settings: &[(&str, &str)]) -> Process {
    let (rng, hasher) = (rng.url(), hasher.url());
    let own = [
        ("RNG_URL", rng.as_str()),
        ("HASHER_URL", &hasher),
        ("REDIS_URL", redis_url),
        ("DELAY", "0s"),
        ("INTERVAL", "20ms"),
        ("RETRY", "50ms"),
    ];
    Process::service(env!("CARGO_BIN_EXE_worker"), &[&own, settings].concat())
}

#[test]
fn metrics_report_the_program() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, "redis://127.0.0.1:1", &[]);
    assert_eq!(metrics(worker.address("ADMIN_LISTEN"))[&build("worker")], 1.0);
}

// Only Linux reports the threads of a process.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_with_one_loop_has_one_worker_thread_unless_configured_otherwise() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let cores = std::thread::available_parallelism().unwrap().get();
    for (settings, is_single) in [
        (&[][..], true),
        (&[("THREADS", "2")], false),
        (&[("CONCURRENCY", "2")], cores == 1),
        (&[("CONCURRENCY", "2"), ("THREADS", "1")], true),
    ] {
        let worker = worker(&rng, &hasher, &redis.url(), settings);
        let before = redis.hashes();
        eventually(TIMEOUT, "the worker counts", || redis.hashes() > before);
        let threads = metrics(worker.address("ADMIN_LISTEN"))["process_threads"];
        // Plus the blocking thread, which resolves names.
        assert_eq!(threads == 2.0, is_single, "{threads} threads with {settings:?}");
    }
}

#[test]
fn settings_of_the_load_generator_do_not_end_a_worker() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("DURATION", "1s"), ("HASHES", "1"), ("OUTPUT", "json")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    thread::sleep(Duration::from_millis(1500));
    let before = redis.hashes();
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > before + 10);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert!(worker.errors().is_empty(), "the log is on stdout: {:#?}", worker.errors());
}
