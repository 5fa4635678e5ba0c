//! The ladder: what each step from the shipped settings to the limit of the machine costs and buys,
//! beside yardsticks that have no HTTP library, or no network; and what answers, events and connections
//! cost, beside a bare axum handler.
//!
//! `cargo build --release && cargo run --release -p bench` runs everything.

mod alone;
mod bare;
mod capture;
mod clients;
mod connections;
mod epoll;
mod figures;
mod handler;
mod ladder;
mod process;
mod table;
mod threads;
mod turns;
mod webui;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures DockerCoins on this machine, beside yardsticks.
#[derive(Parser)]
struct Settings {
    #[command(subcommand)]
    action: Option<Action>,
    /// Seconds of each turn.
    #[arg(long, default_value = "5")]
    seconds: u64,
    /// Turns of each row; the rows take them one after the other.
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Only the tables of these names, `ladder`, `webui` and `connections`, and rows with one of these
    /// words in their names.
    #[arg(long)]
    only: Vec<String>,
    /// Folder for the tables, and a picture of the ladder.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

#[derive(Subcommand)]
enum Action {
    /// A process of a yardstick; the ladder starts it.
    #[command(hide = true)]
    Bare(bare::Settings),
    /// The yardstick of services, which is started beside them.
    #[command(hide = true)]
    Handler(handler::Settings),
    /// The yardstick without a network; the ladder starts it.
    #[command(hide = true)]
    Alone {
        /// Threads side by side.
        threads: usize,
        /// How long.
        seconds: u64,
    },
}

fn main() -> Result<()> {
    let settings = Settings::parse();
    match settings.action {
        None => {
            process::raise_file_limit()?;
            ladder::run(&settings)?;
            webui::run(&settings)?;
            connections::run(&settings)
        }
        Some(Action::Bare(settings)) => bare::run(settings),
        Some(Action::Handler(settings)) => handler::run(&settings),
        Some(Action::Alone { threads, seconds }) => alone::run(threads, seconds),
    }
}
