//! The store in a file of its own, for the application in one process.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    backends::InMemoryBackend,
};
use tokio::task::spawn_blocking;

use crate::{Batch, Totals};

/// The counter under its name, as in Redis.
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// Random bytes by their hash.
const WALLET: TableDefinition<&str, &[u8]> = TableDefinition::new("wallet");
/// The number of the last batch of a worker's run.
const FLUSHES: TableDefinition<&str, u64> = TableDefinition::new("flushes");

/// The open file.
pub struct Embedded {
    database: Arc<Database>,
}

impl Embedded {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Self::with(
            Database::create(path).with_context(|| format!("cannot use {}", path.display()))?,
        )
    }

    pub(crate) fn in_memory() -> Result<Self> {
        Self::with(Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    fn with(database: Database) -> Result<Self> {
        // Tables exist from the start, so that reading needs no special case.
        let write = database.begin_write()?;
        write.open_table(COUNTERS)?;
        write.open_table(WALLET)?;
        // Runs of earlier processes are over: nobody sends their batches again.
        write.delete_table(FLUSHES)?;
        write.open_table(FLUSHES)?;
        write.commit()?;
        Ok(Self { database: Arc::new(database) })
    }

    pub(crate) async fn add(&self, batch: &Batch) -> Result<Vec<String>> {
        let (database, batch) = (self.database.clone(), batch.clone());
        spawn_blocking(move || add(&database, &batch)).await?
    }

    pub(crate) async fn totals(&self) -> Result<Totals> {
        let database = self.database.clone();
        spawn_blocking(move || totals(&database)).await?
    }
}

fn add(database: &Database, batch: &Batch) -> Result<Vec<String>> {
    let write = database.begin_write()?;
    let mut known = Vec::new();
    {
        let mut flushes = write.open_table(FLUSHES)?;
        let last = flushes.insert(batch.run.as_str(), batch.sequence)?.map(|last| last.value());
        if last >= Some(batch.sequence) {
            return Ok(known);
        }
        let mut wallet = write.open_table(WALLET)?;
        for coin in &batch.coins {
            if wallet.insert(coin.hash.as_str(), &coin.bytes[..])?.is_some() {
                known.push(coin.hash.clone());
            }
        }
        let mut counters = write.open_table(COUNTERS)?;
        let before = counters.get("hashes")?.map_or(0, |hashes| hashes.value());
        counters.insert("hashes", before + batch.hashes)?;
    }
    write.commit()?;
    Ok(known)
}

fn totals(database: &Database) -> Result<Totals> {
    let read = database.begin_read()?;
    let coins = read.open_table(WALLET)?.len()?;
    let hashes = read.open_table(COUNTERS)?.get("hashes")?.map(|hashes| hashes.value().to_string());
    Ok(Totals { coins, hashes })
}
