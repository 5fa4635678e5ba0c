//! What tests of several crates need: real programs and services that stop when the test does, and
//! clients that say anything.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod client;
pub mod http;
mod metrics;
mod process;
mod redis;
mod service;

use std::{
    thread,
    time::{Duration, Instant},
};

pub use client::{Client, request};
pub use metrics::{build, metrics};
pub use process::{FREE_PORTS, Process, sibling};
pub use redis::Redis;
pub use service::{Service, anywhere};

/// How long anything that is expected of a service may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until something is so. Panics after `patience`.
pub fn eventually(patience: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !so() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Says that a test is skipped and why; with `CHECK_STRICT` set, a skip is a failure.
pub fn skip(why: &str) {
    let strict = std::env::var("CHECK_STRICT").is_ok_and(|value| !value.is_empty());
    assert!(!strict, "not skipped, because CHECK_STRICT is set: {why}");
    eprintln!("skipped: {why}");
}
