//! The last minutes of the counters, kept by the server so that a reload keeps the curve.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::counters::{Counters, Outcome};

/// Time between two samples.
const PERIOD: Duration = Duration::from_secs(1);

/// How far back the history goes, in seconds: five minutes of speed take ten seconds more.
const SPAN: f64 = 310.0;

/// The most samples that are kept, whatever the clock does.
const MOST: usize = 1000;

/// One reading of the counters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch.
    pub now: f64,
    /// Units of work done.
    pub hashes: u64,
    /// Coins in the wallet.
    pub coins: u64,
}

/// A handle on the history; clones share it.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Past>>);

/// What is known: the samples, oldest first, and why there is none right now.
#[derive(Clone, Default)]
pub(crate) struct Past {
    pub(crate) samples: VecDeque<Sample>,
    pub(crate) unavailable: Option<String>,
}

impl History {
    /// Takes a sample every second, for as long as it is polled.
    pub(crate) async fn keep(self, counters: Counters) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.add(counters.read().await);
        }
    }

    pub(crate) fn past(&self) -> Past {
        self.lock().clone()
    }

    fn add(&self, outcome: Outcome) {
        let mut past = self.lock();
        match outcome {
            Ok(reading) => {
                past.unavailable = None;
                let hashes = reading.hashes.as_deref().unwrap_or("0").parse();
                if let Ok(hashes) = hashes {
                    past.samples.push_back(Sample {
                        now: reading.now,
                        hashes,
                        coins: reading.coins,
                    });
                }
                let old = |sample: &Sample| sample.now < reading.now - SPAN;
                while past.samples.len() > MOST || past.samples.front().is_some_and(old) {
                    past.samples.pop_front();
                }
            }
            Err(sentence) => past.unavailable = Some(sentence),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
