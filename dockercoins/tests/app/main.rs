//! The whole application, in simulated time and in life.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod laptop;
mod logs;
mod pace;
mod programs;
mod settings;
mod shutdown;
mod simulation;

/// What a worker knows of itself when nobody asks.
fn insight() -> worker::Insight {
    worker::Insight::new("worker".into(), "test".into(), worker::Metrics::default())
}
