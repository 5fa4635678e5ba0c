//! The rows of a table, which are measured in rounds.

use std::{fs, num::NonZero, path::Path};

use anyhow::{Context, Result};

/// A row of a table: its name, and the program or baseline that is measured.
pub(crate) struct Row<K> {
    pub(crate) name: String,
    pub(crate) kind: K,
}

/// Measures every row once per round, so that changes of the machine's load affect all rows alike.
pub(crate) fn measure<K, O>(
    rounds: NonZero<u16>,
    rows: Vec<Row<K>>,
    run: impl Fn(&K) -> Result<O>,
) -> Result<Vec<(Row<K>, Vec<O>)>> {
    let mut results: Vec<_> = rows.into_iter().map(|row| (row, Vec::new())).collect();
    for round in 1..=rounds.get() {
        for (row, outcomes) in &mut results {
            eprintln!("round {round} of {rounds}: {}", row.name);
            outcomes.push(run(&row.kind).with_context(|| row.name.clone())?);
        }
    }
    Ok(results)
}

/// Prints a table, and writes it to a file in the folder.
pub(crate) fn write(folder: &Path, name: &str, table: &str) -> Result<()> {
    println!("{table}");
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join(name), table)?)
}
