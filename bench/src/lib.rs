//! Measures DockerCoins on this machine. The ladder is the speed and the cost of each step from the
//! default settings to the limit of the machine, next to baselines without an HTTP library or
//! without a network. Two more tables are the cost of responses, events and connections, next to a
//! bare axum handler.
//!
//! `cargo build --profile image && cargo run --profile image -p bench` measures everything.

// The CPU time of processes comes from /proc, and orphaned processes need a subreaper.
#![cfg(target_os = "linux")]

mod bare;
mod baseline;
mod capture;
mod clients;
mod connections;
mod epoll;
mod figures;
mod guard;
mod handler;
mod ladder;
mod no_network;
mod process;
mod rounds;
mod settings;
mod steps;
mod table;
mod threads;
mod webui;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::settings::Settings;

/// Measures DockerCoins on this machine, next to baselines.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Action {
    /// The measurement, as a child process of `bench`.
    #[command(hide = true)]
    Measure,
    /// A process of the baseline on bare sockets.
    #[command(hide = true)]
    Bare(bare::Settings),
    /// The baseline of the services.
    #[command(hide = true)]
    Handler(handler::Settings),
    /// The baseline without a network.
    #[command(hide = true)]
    NoNetwork {
        threads: usize,
        /// How long the threads hash.
        seconds: u64,
    },
}

/// Runs the action of the command line. Fails when a measurement fails.
pub fn run() -> Result<ExitCode> {
    let Cli { action, settings } = Cli::parse();
    match action {
        None => return guard::run(),
        Some(Action::Measure) => measure(&settings)?,
        Some(Action::Bare(settings)) => bare::run(settings)?,
        Some(Action::Handler(settings)) => handler::run(&settings)?,
        Some(Action::NoNetwork { threads, seconds }) => no_network::run(threads, seconds)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the selected tables, after checking that all programs exist.
fn measure(settings: &Settings) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "bench was built without optimisation, so its results would be useless; run \
         `cargo build --profile image && cargo run --profile image -p bench`"
    );
    for name in ["rng", "hasher", "worker", "load", "webui"] {
        process::path(name)?;
    }
    let connections = settings.selects_table("connections");
    process::raise_file_limit(if connections { connections::FILES } else { 0 })?;
    ladder::run(settings)?;
    if settings.selects_table("webui") {
        webui::run(settings)?;
    }
    if connections {
        connections::run(settings)?;
    }
    Ok(())
}
