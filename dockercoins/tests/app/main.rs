//! The whole application, in simulated time and with real processes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod laptop;
mod logs;
mod pace;
mod programs;
mod settings;
mod shutdown;
mod simulation;

/// The statistics of a worker whose metrics are not exported.
fn stats() -> worker::Stats {
    worker::Stats::new("worker".into(), "test".into(), worker::Metrics::default())
}
