//! The ladder: what each step from the shipped settings to the limit of the machine costs and buys,
//! beside yardsticks that have no HTTP library, or no network.
//!
//! `cargo build --release && cargo run --release -p bench` runs everything.

mod alone;
mod bare;
mod capture;
mod epoll;
mod figures;
mod ladder;
mod process;
mod table;
mod threads;
mod turns;

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
    /// Only the rows with one of these words in their names.
    #[arg(long)]
    only: Vec<String>,
    /// Folder for ladder.md and ladder.svg.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

#[derive(Subcommand)]
enum Action {
    /// A process of a yardstick; the ladder starts it.
    #[command(hide = true)]
    Bare(bare::Settings),
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
        None => ladder::run(&settings),
        Some(Action::Bare(settings)) => bare::run(settings),
        Some(Action::Alone { threads, seconds }) => alone::run(threads, seconds),
    }
}
