//! What is measured of a load, by histograms of high dynamic range: a thousandth is the error of any
//! percentile.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::insight::Watch;

/// The longest time that is told from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// The stage that stands for all of them: from the intended begin of a unit of work to its end.
pub(crate) const UNIT: &str = "unit";

/// The measurements of one load.
pub(crate) struct Record {
    begin: Instant,
    data: Mutex<Data>,
}

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) hashes: u64,
    pub(crate) warm_up_hashes: u64,
    last: Duration,
    /// Nanoseconds in each stage.
    pub(crate) stages: BTreeMap<&'static str, Histogram<u64>>,
    /// How often each peer failed, and how.
    pub(crate) errors: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl Record {
    /// Nothing yet; what happens before the end of the warm-up is not recorded.
    pub(crate) fn new(warm_up: Duration) -> Self {
        Self { begin: Instant::now() + warm_up, data: Mutex::default() }
    }

    /// The end of the warm-up.
    pub(crate) fn begin(&self) -> Instant {
        self.begin
    }

    /// Records a unit of work that was to begin at a time and made so many hashes.
    pub(crate) fn unit(&self, intended: Instant, hashes: u64) {
        let mut data = self.data();
        data.hashes += hashes;
        data.last = self.begin.elapsed();
        data.spent(UNIT, intended.elapsed(), 1);
    }

    /// Records hashes that do not count, since the warm-up made them.
    pub(crate) fn warm_up(&self, hashes: u64) {
        self.data().warm_up_hashes += hashes;
    }

    /// Records units of work that were not done in time, as if they had been done at once then.
    pub(crate) fn not_done(&self, waited: &[(Duration, u64)]) {
        let mut data = self.data();
        for &(waited, units) in waited {
            data.spent(UNIT, waited, units);
        }
    }

    /// The time from the end of the warm-up to the last hash.
    pub(crate) fn last(&self) -> Duration {
        self.data().last
    }

    /// The measurements so far.
    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Record {
    fn spent(&self, times: &[(&'static str, Duration)]) {
        if Instant::now() >= self.begin {
            let mut data = self.data();
            for &(stage, took) in times {
                data.spent(stage, took, 1);
            }
        }
    }

    fn failed(&self, peer: &'static str, kind: &'static str) {
        if Instant::now() >= self.begin {
            *self.data().errors.entry(peer).or_default().entry(kind).or_default() += 1;
        }
    }
}

impl Data {
    fn spent(&mut self, stage: &'static str, took: Duration, times: u64) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(LONGEST).min(LONGEST);
        let histogram = || Histogram::new_with_bounds(1, LONGEST, 3);
        match self.stages.get_mut(stage) {
            Some(spent) => spent.saturating_record_n(nanoseconds, times),
            None => self.stages.extend(histogram().ok().map(|mut spent| {
                spent.saturating_record_n(nanoseconds, times);
                (stage, spent)
            })),
        }
    }
}
