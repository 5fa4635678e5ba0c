//! Helpers that the tests of several crates share: real programs and services that stop with the
//! test, and an HTTP client that sends arbitrary bytes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod client;
mod metrics;
pub mod peer;
mod process;
mod redis;
mod service;
mod terminal;

use std::{
    thread,
    time::{Duration, Instant},
};

pub use client::{Client, Response};
pub use metrics::{build, metrics};
pub use process::{FREE_PORTS, Process, sibling};
pub use redis::Redis;
pub use service::{Service, any_port};
pub use terminal::Terminal;

/// How long an expected effect may take on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until `condition` holds. Panics after `timeout`.
pub fn eventually(timeout: Duration, expected: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {timeout:?}: {expected}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Prints that a test is skipped and why. With `CHECK_STRICT` set, a skip is a failure.
pub fn skip(reason: &str) {
    let strict = std::env::var("CHECK_STRICT").is_ok_and(|value| !value.is_empty());
    assert!(!strict, "not skipped, because CHECK_STRICT is set: {reason}");
    eprintln!("skipped: {reason}");
}
