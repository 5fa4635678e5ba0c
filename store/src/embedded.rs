//! The store in a file of its own, for the application in one process.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use anyhow::{Context, Result};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    backends::InMemoryBackend,
};
use tokio::task::spawn_blocking;

use crate::{ALIVE, Batch, Coin, Find, RECENT, Sighting, Snapshot, Totals, Worker};

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
    /// What is of interest only while the process lives.
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    /// The newest coins, the newest last.
    finds: VecDeque<Find>,
    workers: BTreeMap<String, Sighting>,
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
        Ok(Self {
            path: Some(path.to_owned()),
            database: Mutex::new(Some(database)),
            live: Mutex::default(),
        })
    }

    pub(crate) fn in_memory() -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        prepare(&database)?;
        Ok(Self { path: None, database: Mutex::new(Some(database)), live: Mutex::default() })
    }

    pub(crate) async fn add(self: &Arc<Self>, batch: &Batch) -> Result<Vec<String>> {
        let (store, batch) = (self.clone(), batch.clone());
        let add = move || {
            let added = store.call(|database| add(database, &batch))?;
            if let Some(known) = &added {
                store.live().remember(batch.coins, known);
            }
            Ok(added.unwrap_or_default())
        };
        spawn_blocking(add).await?
    }

    pub(crate) async fn read(self: &Arc<Self>, hashes: &[String]) -> Result<Snapshot> {
        let (store, hashes) = (self.clone(), hashes.to_owned());
        let read = move || {
            let (totals, asked) = store.call(|database| read(database, &hashes))?;
            let live = store.live();
            let alive = |sighting: &&Sighting| now() - sighting.at < ALIVE.as_secs_f64();
            Ok(Snapshot {
                now: now(),
                totals,
                finds: live.finds.iter().rev().cloned().collect(),
                workers: live.workers.values().filter(alive).cloned().collect(),
                asked,
            })
        };
        spawn_blocking(read).await?
    }

    pub(crate) fn announce(&self, run: &str, worker: &Worker) -> Result<()> {
        let sighting = Sighting { run: run.to_owned(), at: now(), worker: worker.clone() };
        self.live().workers.insert(run.to_owned(), sighting);
        Ok(())
    }

    pub(crate) fn leave(&self, run: &str) -> Result<()> {
        self.live().workers.remove(run);
        Ok(())
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The hashes of the coins that were there already, or nothing when the batch has been added before.
fn add(database: &Database, batch: &Batch) -> Result<Option<Vec<String>>> {
    let write = database.begin_write()?;
    let mut known = Vec::new();
    {
        let mut flushes = write.open_table(FLUSHES)?;
        let last = flushes.insert(batch.run.as_str(), batch.sequence)?.map(|last| last.value());
        if last >= Some(batch.sequence) {
            return Ok(None);
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
    Ok(Some(known))
}

fn read(database: &Database, hashes: &[String]) -> Result<(Totals, Vec<Option<Vec<u8>>>)> {
    let read = database.begin_read()?;
    let wallet = read.open_table(WALLET)?;
    let count = read.open_table(COUNTERS)?.get("hashes")?.map(|hashes| hashes.value().to_string());
    let coin = |hash: &String| Ok(wallet.get(hash.as_str())?.map(|bytes| bytes.value().to_vec()));
    let asked = hashes.iter().map(coin).collect::<Result<_>>()?;
    Ok((Totals { coins: wallet.len()?, hashes: count }, asked))
}

impl Live {
    fn remember(&mut self, coins: Vec<Coin>, known: &[String]) {
        let at = now();
        let new = coins.into_iter().filter(|coin| !known.contains(&coin.hash));
        self.finds.extend(new.map(|coin| Find { hash: coin.hash, at }));
        let old = self.finds.len().saturating_sub(RECENT);
        self.finds.drain(..old);
    }
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0.0, |duration| duration.as_secs_f64())
}
