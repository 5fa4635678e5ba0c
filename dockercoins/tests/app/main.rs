//! The whole application, in simulated time and in life.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod pace;
mod simulation;
