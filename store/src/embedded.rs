//! The store in a file or in memory, when the application is one process.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use anyhow::{Context, Result};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    backends::InMemoryBackend,
};
use tokio::task::spawn_blocking;

use crate::{
    ALIVE, Batch, Coin, HISTORY, Heartbeat, MAX_AHEAD, RECENT_COINS, RecentCoin, Snapshot, Totals,
    WorkerStatus,
};

/// Counters by name, as in Redis.
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// Random bytes by their hash.
const WALLET: TableDefinition<&str, &[u8]> = TableDefinition::new("wallet");
/// The number of the last batch of each run.
const FLUSHES: TableDefinition<&str, u64> = TableDefinition::new("flushes");
/// The samples of the history by second.
const SAMPLES: TableDefinition<u64, &str> = TableDefinition::new("samples");

/// A database in a file or in memory.
pub struct Embedded {
    /// None for memory.
    path: Option<PathBuf>,
    /// None after an error, which redb never recovers from: the next call opens the file again.
    database: Mutex<Option<Database>>,
    live: Mutex<Live>,
}

/// State that ends with the process.
#[derive(Default)]
struct Live {
    /// Oldest first.
    recent_coins: VecDeque<RecentCoin>,
    workers: BTreeMap<String, WorkerStatus>,
}

impl Embedded {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        }
        Self::new(Some(path.to_owned()), open(path)?)
    }

    pub(crate) fn in_memory() -> Result<Self> {
        Self::new(None, Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    fn new(path: Option<PathBuf>, database: Database) -> Result<Self> {
        let write = database.begin_write()?;
        // The runs of earlier processes are over: their batches are never sent again.
        write.delete_table(FLUSHES)?;
        // Creates the tables, because reading a missing one fails.
        write.open_table(COUNTERS)?;
        write.open_table(WALLET)?;
        write.open_table(SAMPLES)?;
        write.commit()?;
        Ok(Self { path, database: Mutex::new(Some(database)), live: Mutex::default() })
    }

    pub(crate) async fn add(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<Vec<String>> {
        let batch = batch.clone();
        self.call(move |store, database| {
            let (known, new) = add(database, &batch)?;
            let mut live = store.live();
            live.recent_coins.extend(new);
            let excess = live.recent_coins.len().saturating_sub(RECENT_COINS);
            live.recent_coins.drain(..excess);
            Ok(known)
        })
        .await
    }

    pub(crate) async fn read(self: &Arc<Self>) -> Result<Snapshot> {
        let totals = self.call(|_, database| totals(database)).await?;
        let (live, now) = (self.live(), now());
        let alive = |worker: &&WorkerStatus| now - worker.at < ALIVE.as_secs_f64();
        Ok(Snapshot {
            now,
            added: totals.hashes.as_deref().map_or(Some(0), |hashes| hashes.parse().ok()),
            totals,
            problems: Vec::new(),
            recent_coins: live.recent_coins.iter().rev().cloned().collect(),
            workers: Some(live.workers.values().filter(alive).cloned().collect()),
        })
    }

    pub(crate) async fn record(
        self: &Arc<Self>,
        second: u64,
        sample: &str,
        after: u64,
    ) -> Result<Vec<String>> {
        let sample = sample.to_owned();
        self.call(move |_, database| record(database, second, &sample, after)).await
    }

    pub(crate) async fn coin(self: &Arc<Self>, hash: &str) -> Result<Option<Vec<u8>>> {
        let hash = hash.to_owned();
        self.call(move |_, database| {
            let wallet = database.begin_read()?.open_table(WALLET)?;
            Ok(wallet.get(hash.as_str())?.map(|bytes| bytes.value().to_vec()))
        })
        .await
    }

    pub(crate) async fn heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<()> {
        let run = run.to_owned();
        let status = WorkerStatus { run: run.clone(), at: now(), heartbeat: heartbeat.clone() };
        self.live().workers.insert(run, status);
        Ok(())
    }

    pub(crate) async fn deregister(&self, run: &str) -> Result<()> {
        self.live().workers.remove(run);
        Ok(())
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command on a thread that may block, and to its end even if the caller is cancelled.
    async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        command: impl FnOnce(&Self, &Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        let call = move || {
            let mut database = store.database.lock().unwrap_or_else(PoisonError::into_inner);
            if let (None, Some(path)) = (&*database, &store.path) {
                *database = Some(open(path)?);
            }
            let result = command(&store, database.as_ref().context("the store is closed")?);
            match &store.path {
                Some(path) if result.is_err() => {
                    *database = None;
                    result.with_context(|| path.display().to_string())
                }
                _ => result,
            }
        };
        spawn_blocking(call).await?
    }
}

fn open(path: &Path) -> Result<Database> {
    Database::create(path).with_context(|| format!("cannot use {}", path.display()))
}

/// Returns the hashes of the coins that were in the wallet already, and the new coins; neither if
/// the batch was added before.
fn add(database: &Database, batch: &Batch) -> Result<(Vec<String>, Vec<RecentCoin>)> {
    let write = database.begin_write()?;
    let (mut known, mut new) = (Vec::new(), Vec::new());
    {
        let mut flushes = write.open_table(FLUSHES)?;
        let last = flushes.insert(batch.run.as_str(), batch.sequence)?.map(|last| last.value());
        if last >= Some(batch.sequence) {
            return Ok((known, new));
        }
        let mut wallet = write.open_table(WALLET)?;
        for Coin { hash, bytes } in &batch.coins {
            match wallet.insert(hash.as_str(), &bytes[..])? {
                Some(_) => known.push(hash.clone()),
                None => new.push(RecentCoin { hash: hash.clone(), at: now() }),
            }
        }
        let mut counters = write.open_table(COUNTERS)?;
        let before = counters.get("hashes")?.map_or(0, |hashes| hashes.value());
        counters.insert("hashes", before + batch.hashes)?;
    }
    write.commit()?;
    Ok((known, new))
}

fn record(database: &Database, second: u64, sample: &str, after: u64) -> Result<Vec<String>> {
    let mut write = database.begin_write()?;
    // The next batch makes it durable.
    write.set_durability(Durability::None)?;
    {
        let mut samples = write.open_table(SAMPLES)?;
        let first = second.saturating_sub(HISTORY.as_secs());
        samples.retain(|at, _| (first..=second + MAX_AHEAD).contains(&at))?;
        if samples.get(second)?.is_none() {
            samples.insert(second, sample)?;
        }
    }
    write.commit()?;
    let samples = database.begin_read()?.open_table(SAMPLES)?;
    let newer = samples.range(after.saturating_add(1)..)?;
    newer.map(|sample| Ok(sample?.1.value().to_owned())).collect()
}

fn totals(database: &Database) -> Result<Totals> {
    let read = database.begin_read()?;
    let hashes = read.open_table(COUNTERS)?.get("hashes")?.map(|hashes| hashes.value().to_string());
    Ok(Totals { coins: Some(read.open_table(WALLET)?.len()?), hashes })
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |duration| duration.as_secs_f64())
}
