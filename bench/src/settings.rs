//! The settings of a measurement.

use std::{num::NonZero, path::PathBuf, time::Duration};

use clap::Args;

use crate::steps;

/// The tables, in the order in which they are measured.
const TABLES: [&str; 3] = ["ladder", "webui", "connections"];

/// The settings of a measurement.
#[derive(Args)]
pub(crate) struct Settings {
    /// Seconds per row and round.
    #[arg(long, default_value = "5", value_parser = chassis::parse_count)]
    pub(crate) seconds: NonZero<u16>,
    /// Rounds; each round measures every row once.
    #[arg(long, default_value = "5", value_parser = chassis::parse_count)]
    pub(crate) rounds: NonZero<u16>,
    /// Measure only the tables with this name (`ladder`, `webui`, `connections`) and the rows of
    /// the ladder whose names contain this text.
    #[arg(long, value_parser = parse_selection)]
    only: Vec<String>,
    /// Folder for the tables and for the chart of the ladder.
    #[arg(long, default_value = "target/bench")]
    pub(crate) output: PathBuf,
}

impl Settings {
    /// How long each row is measured in each round.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    /// Whether a whole table is selected.
    pub(crate) fn selects_table(&self, table: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| text == table)
    }

    /// Whether a row of the ladder is selected.
    pub(crate) fn selects_row(&self, name: &str) -> bool {
        self.selects_table("ladder") || self.only.iter().any(|text| name.contains(text))
    }
}

/// Parses the name of a table, or a part of the name of a row of the ladder.
fn parse_selection(text: &str) -> Result<String, String> {
    let rows: Vec<String> = steps::rows().into_iter().map(|row| row.name).collect();
    if TABLES.contains(&text) || rows.iter().any(|name| name.contains(text)) {
        return Ok(text.to_owned());
    }
    let valid = format!("{}, or a part of\n  {}", TABLES.join(", "), rows.join("\n  "));
    Err(chassis::invalid_value(
        text,
        "a table, or a part of the name of a row of the ladder",
        &valid,
    ))
}
