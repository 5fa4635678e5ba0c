//! The ledger: work done and not yet acknowledged by the store, so that none is lost or counted
//! twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{Batch, Coin};

use crate::Metrics;

/// The most coins in a batch, which is one command to redis.
const MOST_COINS: usize = 10_000;

/// The books of one run of a worker.
pub(crate) struct Ledger {
    run: String,
    books: Mutex<Books>,
    metrics: Metrics,
}

#[derive(Default)]
struct Books {
    /// Everything ever entered: hashes and coins.
    total: (u64, u64),
    hashes: u64,
    coins: Vec<Coin>,
    sequence: u64,
    /// Sent, but perhaps not received: it must be sent again as it is, under its number.
    sent: Option<Batch>,
}

impl Ledger {
    /// Empty books of a run that no other worker shares.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { run: format!("{:032x}", rand::random::<u128>()), books: Mutex::default(), metrics }
    }

    /// The name of this run.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Enters units of work, with the coins that they gave.
    pub(crate) fn enter(&self, units: u64, coins: Vec<Coin>) {
        let mut books = self.books();
        books.hashes += units;
        books.total.0 += units;
        books.total.1 += coins.len() as u64;
        self.metrics.units.inc_by(units);
        self.metrics.pending_units.inc_by(units as i64);
        self.metrics.coins.inc_by(coins.len() as u64);
        self.metrics.pending_coins.inc_by(coins.len() as i64);
        books.coins.extend(coins);
    }

    /// Whether a batch has no room for more coins.
    pub(crate) fn is_full(&self) -> bool {
        self.books().coins.len() >= MOST_COINS
    }

    /// The batch that was sent and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Option<Batch> {
        self.books().sent.clone()
    }

    /// Closes a batch over everything entered so far. The one before must be acknowledged.
    pub(crate) fn close_batch(&self) -> Batch {
        let mut books = self.books();
        books.sequence += 1;
        let rest = books.coins.len().min(MOST_COINS);
        let rest = books.coins.split_off(rest);
        let batch = Batch {
            run: self.run.clone(),
            sequence: books.sequence,
            hashes: std::mem::take(&mut books.hashes),
            coins: std::mem::replace(&mut books.coins, rest),
        };
        books.sent = Some(batch.clone());
        batch
    }

    /// The store has the batch that was sent.
    pub(crate) fn acknowledge(&self) {
        if let Some(batch) = self.books().sent.take() {
            self.metrics.pending_units.dec_by(batch.hashes as i64);
            self.metrics.pending_coins.dec_by(batch.coins.len() as i64);
        }
    }

    /// Hashes and coins that the store has not acknowledged.
    pub(crate) fn pending(&self) -> (u64, usize) {
        let books = self.books();
        let sent = books.sent.as_ref().map_or((0, 0), |batch| (batch.hashes, batch.coins.len()));
        (books.hashes + sent.0, books.coins.len() + sent.1)
    }

    /// Hashes and coins of the whole run.
    pub(crate) fn total(&self) -> (u64, u64) {
        self.books().total
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coin() -> Coin {
        Coin { hash: "0".repeat(64), bytes: [0; 32] }
    }

    #[test]
    fn coins_that_have_no_room_wait_for_the_next_batch() {
        let ledger = Ledger::new(Metrics::default());
        ledger.enter(2 * MOST_COINS as u64, vec![coin(); MOST_COINS + 1]);
        assert!(ledger.is_full());
        let first = ledger.close_batch();
        assert_eq!((first.hashes, first.coins.len()), (2 * MOST_COINS as u64, MOST_COINS));
        assert!(!ledger.is_full());
        ledger.acknowledge();
        assert_eq!(ledger.pending(), (0, 1));
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
        assert_eq!(ledger.pending(), (2, 1));
        ledger.acknowledge();
        let second = ledger.close_batch();
        assert_eq!((second.run, second.sequence, second.hashes), (first.run, 2, 1));
        assert_eq!(second.coins.len(), 1);
    }
}
