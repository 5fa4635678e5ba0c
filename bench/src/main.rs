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
mod guard;
mod handler;
mod ladder;
mod process;
mod table;
mod threads;
mod turns;
mod webui;

use std::{num::NonZero, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

/// The tables, in the order in which they are measured.
const TABLES: [&str; 3] = ["ladder", "webui", "connections"];

/// Measures DockerCoins on this machine, beside yardsticks.
#[derive(Parser)]
struct Settings {
    #[command(subcommand)]
    action: Option<Action>,
    /// Seconds of each turn.
    #[arg(long, default_value = "5", value_parser = chassis::parse_count)]
    seconds: NonZero<u16>,
    /// Turns of each row; the rows take them one after the other.
    #[arg(long, default_value = "5", value_parser = chassis::parse_count)]
    rounds: NonZero<u16>,
    /// Only the tables of these names, `ladder`, `webui` and `connections`, and rows of the ladder
    /// with one of these words in their names.
    #[arg(long, value_parser = parse_word)]
    only: Vec<String>,
    /// Folder for the tables, and a picture of the ladder.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

impl Settings {
    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    /// Whether all of a table is asked for.
    fn asks_for(&self, table: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| word == table)
    }

    /// Whether a row of the ladder is asked for.
    fn asks_for_row(&self, name: &str) -> bool {
        self.asks_for("ladder") || self.only.iter().any(|word| name.contains(word))
    }
}

/// Parses the name of a table, or a word in the name of a row of the ladder.
fn parse_word(word: &str) -> Result<String, String> {
    let rows: Vec<String> = ladder::rows().into_iter().map(|row| row.name).collect();
    if TABLES.contains(&word) || rows.iter().any(|name| name.contains(word)) {
        return Ok(word.to_owned());
    }
    let right = format!("{}, or a word of\n  {}", TABLES.join(", "), rows.join("\n  "));
    Err(chassis::wrong(word, "a table, or a word in the name of a row of the ladder", &right))
}

#[derive(Subcommand)]
enum Action {
    /// What measures; its parent looks after it.
    #[command(hide = true)]
    Measure,
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
        /// How long they hash.
        seconds: u64,
    },
}

fn main() -> Result<ExitCode> {
    let settings = Settings::parse();
    match settings.action {
        None => return guard::run(),
        Some(Action::Measure) => measure(&settings)?,
        Some(Action::Bare(settings)) => bare::run(settings)?,
        Some(Action::Handler(settings)) => handler::run(&settings)?,
        Some(Action::Alone { threads, seconds }) => alone::run(threads, seconds)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures what is asked for, unless something is missing.
fn measure(settings: &Settings) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "bench is built without --release, and would measure nothing of use; run \
         `cargo build --release && cargo run --release -p bench`"
    );
    for name in ["rng", "hasher", "worker", "webui"] {
        process::path(name)?;
    }
    let connections = settings.asks_for("connections");
    process::raise_file_limit(if connections { connections::FILES } else { 0 })?;
    ladder::run(settings)?;
    if settings.asks_for("webui") {
        webui::run(settings)?;
    }
    if connections {
        connections::run(settings)?;
    }
    Ok(())
}
