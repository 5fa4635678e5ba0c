//! Rows of a table, and their turns.

use std::fs;

use anyhow::{Context, Result};

use crate::Settings;

/// What is measured, and under which name.
pub(crate) struct Row<K> {
    pub(crate) name: String,
    pub(crate) kind: K,
}

/// Lets every row have its turns, one after the other, so that the machine is the same for all.
pub(crate) fn take<K, O>(
    settings: &Settings,
    rows: Vec<Row<K>>,
    run: impl Fn(&K) -> Result<O>,
) -> Result<Vec<(Row<K>, Vec<O>)>> {
    let mut results: Vec<_> = rows.into_iter().map(|row| (row, Vec::new())).collect();
    for round in 1..=settings.rounds.get() {
        for (row, outcomes) in &mut results {
            eprintln!("{round} of {}: {}", settings.rounds, row.name);
            outcomes.push(run(&row.kind).with_context(|| row.name.clone())?);
        }
    }
    Ok(results)
}

/// Shows a table, and keeps it in a file of this name.
pub(crate) fn write(settings: &Settings, name: &str, table: &str) -> Result<()> {
    println!("{table}");
    fs::create_dir_all(&settings.output)?;
    Ok(fs::write(settings.output.join(name), table)?)
}
