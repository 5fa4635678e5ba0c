//! The real worker against hand-made peers and a real redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod exactness;
mod faults;
mod logs;
mod peer;
mod proxy;
mod shutdown;
mod tls;

use std::{
    thread,
    time::{Duration, Instant},
};

use testkit::Process;

use crate::peer::Peer;

/// How long anything that is expected may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A worker without delays, with further settings.
fn worker(rng: &Peer, hasher: &Peer, redis_url: &str, settings: &[(&str, &str)]) -> Process {
    let (rng, hasher) = (rng.url(), hasher.url());
    let mut env = vec![
        ("ADMIN_LISTEN", "127.0.0.1:0"),
        ("RNG_URL", &rng),
        ("HASHER_URL", &hasher),
        ("REDIS_URL", redis_url),
        ("DELAY", "0s"),
        ("INTERVAL", "20ms"),
        ("RETRY", "50ms"),
    ];
    env.extend(settings);
    Process::start(env!("CARGO_BIN_EXE_worker"), &[], &env)
}

/// Waits until something is so.
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
