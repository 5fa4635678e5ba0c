//! The real worker against hand-made peers and a real redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod answers;
mod bulk;
mod exactness;
mod faults;
mod load;
mod logs;
mod peer;
mod proxy;
mod shutdown;
mod terminal;
mod tls;

use std::time::Duration;

use testkit::{Process, Redis, build, eventually, metrics};

use crate::peer::Peer;

/// How long anything that is expected may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A worker without delays, with further settings.
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
fn prometheus_learns_which_program_it_is() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, "redis://127.0.0.1:1", &[]);
    assert_eq!(metrics(worker.address("ADMIN_LISTEN"))[&build("worker")], 1.0);
}

#[test]
fn one_loop_is_mined_on_one_thread_unless_more_are_asked_for() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let cores = std::thread::available_parallelism().unwrap().get();
    for (settings, is_one) in [
        (&[][..], true),
        (&[("THREADS", "2")], false),
        (&[("CONCURRENCY", "2")], cores == 1),
        (&[("CONCURRENCY", "2"), ("THREADS", "1")], true),
        (&[("DURATION", "1h"), ("COMPARE", "--connections keep-alive")], true),
        (&[("DURATION", "1h"), ("COMPARE", "--concurrency 2")], cores == 1),
    ] {
        let worker = worker(&rng, &hasher, &redis.url(), settings);
        let before = redis.hashes();
        eventually(PATIENCE, "the worker counts", || redis.hashes() > before);
        let threads = metrics(worker.address("ADMIN_LISTEN"))["process_threads"];
        assert_eq!(threads == 1.0, is_one, "{threads} threads with {settings:?}");
    }
}
