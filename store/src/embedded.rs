//! The store in a file of its own, for the application in one process.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

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

/// A file, or only memory.
pub struct Embedded {
    /// None is memory.
    path: Option<PathBuf>,
    /// None after an error, which redb never forgets: the next call opens the file again.
    database: Mutex<Option<Database>>,
}

impl Embedded {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let database = create(path)?;
        // Runs of earlier processes are over: nobody sends their batches again.
        let write = database.begin_write()?;
        write.delete_table(FLUSHES)?;
        write.commit()?;
        prepare(&database)?;
        Ok(Self { path: Some(path.to_owned()), database: Mutex::new(Some(database)) })
    }

    pub(crate) fn in_memory() -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        prepare(&database)?;
        Ok(Self { path: None, database: Mutex::new(Some(database)) })
    }

    pub(crate) async fn add(self: &Arc<Self>, batch: &Batch) -> Result<Vec<String>> {
        let (store, batch) = (self.clone(), batch.clone());
        spawn_blocking(move || store.call(|database| add(database, &batch))).await?
    }

    pub(crate) async fn totals(self: &Arc<Self>) -> Result<Totals> {
        let store = self.clone();
        spawn_blocking(move || store.call(totals)).await?
    }

    fn call<T>(&self, command: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let mut open = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none()
            && let Some(path) = &self.path
        {
            *open = Some(create(path)?);
        }
        let database = open.as_ref().context("the store is closed")?;
        let result = command(database);
        match &self.path {
            Some(path) if result.is_err() => {
                *open = None;
                result.with_context(|| path.display().to_string())
            }
            _ => result,
        }
    }
}

fn create(path: &Path) -> Result<Database> {
    Database::create(path).with_context(|| format!("cannot use {}", path.display()))
}

/// Makes the tables, so that reading needs no special case.
fn prepare(database: &Database) -> Result<()> {
    let write = database.begin_write()?;
    write.open_table(COUNTERS)?;
    write.open_table(WALLET)?;
    write.open_table(FLUSHES)?;
    Ok(write.commit()?)
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
