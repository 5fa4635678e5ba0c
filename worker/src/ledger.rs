//! The ledger: work that the store has not acknowledged yet, so that none is lost or counted twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Batch, Coin};

use crate::metrics::Metrics;

/// Maximum number of coins in a batch, which is one command to redis.
const MAX_COINS: usize = 10_000;

/// The work of one run of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Units of work done.
    pub hashes: u64,
    /// Coins found.
    pub coins: u64,
}

/// Work that the store has not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unflushed {
    /// Units of work.
    pub hashes: u64,
    /// Coins.
    pub coins: usize,
}

/// The ledger of one run of a worker.
pub(crate) struct Ledger {
    run: String,
    entries: Mutex<Entries>,
    metrics: Metrics,
}

#[derive(Default)]
struct Entries {
    totals: Totals,
    hashes: u64,
    coins: Vec<Coin>,
    sequence: u64,
    /// Sent, but not acknowledged: the store may have it, so it is sent again unchanged.
    sent: Option<Arc<Batch>>,
}

impl Ledger {
    /// An empty ledger, of a run whose name no other worker has.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { run: format!("{:032x}", rand::random::<u128>()), entries: Mutex::default(), metrics }
    }

    /// The name of this run.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Enters units of work, with their coins.
    pub(crate) fn enter(&self, units: u64, coins: Vec<Coin>) {
        let mut entries = self.entries();
        entries.hashes += units;
        entries.totals.hashes += units;
        entries.totals.coins += coins.len() as u64;
        self.metrics.units.inc_by(units);
        self.metrics.pending_units.inc_by(units as i64);
        self.metrics.coins.inc_by(coins.len() as u64);
        self.metrics.pending_coins.inc_by(coins.len() as i64);
        entries.coins.extend(coins);
    }

    /// Whether a batch has no room for more coins.
    pub(crate) fn is_full(&self) -> bool {
        self.entries().coins.len() >= MAX_COINS
    }

    /// The batch that was sent and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Option<Arc<Batch>> {
        self.entries().sent.clone()
    }

    /// Closes a batch over everything entered so far. The previous one must be acknowledged.
    pub(crate) fn close_batch(&self) -> Arc<Batch> {
        let mut entries = self.entries();
        entries.sequence += 1;
        let count = entries.coins.len().min(MAX_COINS);
        let remainder = entries.coins.split_off(count);
        let batch = Arc::new(Batch {
            run: self.run.clone(),
            sequence: entries.sequence,
            hashes: std::mem::take(&mut entries.hashes),
            coins: std::mem::replace(&mut entries.coins, remainder),
        });
        entries.sent = Some(batch.clone());
        batch
    }

    /// Removes the batch that was sent: the store has it.
    pub(crate) fn acknowledge(&self) {
        if let Some(batch) = self.entries().sent.take() {
            self.metrics.pending_units.dec_by(batch.hashes as i64);
            self.metrics.pending_coins.dec_by(batch.coins.len() as i64);
        }
    }

    /// Work that the store has not acknowledged.
    pub(crate) fn unflushed(&self) -> Unflushed {
        let entries = self.entries();
        let (hashes, coins) =
            entries.sent.as_ref().map_or((0, 0), |batch| (batch.hashes, batch.coins.len()));
        Unflushed { hashes: entries.hashes + hashes, coins: entries.coins.len() + coins }
    }

    /// The work of the whole run.
    pub(crate) fn totals(&self) -> Totals {
        self.entries().totals
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coin() -> Coin {
        Coin { hash: "0".repeat(64), bytes: [0; 32] }
    }

    #[test]
    fn coins_without_room_wait_for_the_next_batch() {
        let ledger = Ledger::new(Metrics::default());
        ledger.enter(2 * MAX_COINS as u64, vec![coin(); MAX_COINS + 1]);
        assert!(ledger.is_full());
        let first = ledger.close_batch();
        assert_eq!((first.hashes, first.coins.len()), (2 * MAX_COINS as u64, MAX_COINS));
        assert!(!ledger.is_full());
        ledger.acknowledge();
        assert_eq!(ledger.unflushed(), Unflushed { hashes: 0, coins: 1 });
        let second = ledger.close_batch();
        assert_eq!((second.hashes, second.coins.len()), (0, 1));
    }

    #[test]
    fn a_batch_is_sent_unchanged_until_it_is_acknowledged() {
        let ledger = Ledger::new(Metrics::default());
        ledger.enter(1, Vec::new());
        let first = ledger.close_batch();
        ledger.enter(1, vec![coin()]);
        assert_eq!(ledger.unacknowledged(), Some(first.clone()));
        assert_eq!(ledger.unflushed(), Unflushed { hashes: 2, coins: 1 });
        ledger.acknowledge();
        let second = ledger.close_batch();
        assert_eq!((&second.run, second.sequence, second.hashes), (&first.run, 2, 1));
        assert_eq!(second.coins.len(), 1);
    }
}
