//! What tests of several crates need: real programs that stop when the test does.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod http;
mod process;
mod redis;

pub use process::Process;
pub use redis::Redis;

/// Says that a test is skipped and why; with `CHECK_STRICT` set, a skip is a failure.
pub fn skip(why: &str) {
    let strict = std::env::var("CHECK_STRICT").is_ok_and(|value| !value.is_empty());
    assert!(!strict, "not skipped, because CHECK_STRICT is set: {why}");
    eprintln!("skipped: {why}");
}
