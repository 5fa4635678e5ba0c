//! When the units of work of a load begin: in a closed loop when the one before is done, in an open
//! loop at a constant rate, whatever the answers take.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, Semaphore},
    time::sleep_until,
};

use crate::load::Pace;

/// When the units of work begin, and when there are no more.
pub(crate) struct Schedule {
    begin: Instant,
    end: Option<Instant>,
    /// Units of work that remain to be begun after the warm-up.
    left: Option<AtomicU64>,
    arrivals: Option<Arrivals>,
}

/// The units of work of an open loop.
struct Arrivals {
    start: Instant,
    pause: Duration,
    /// How many have been begun; held by the loop that waits for the next one.
    begun: Mutex<u64>,
    /// Those that have come and have not been begun.
    waiting: Semaphore,
}

impl Schedule {
    /// The schedule of a load whose warm-up ends at `begin`.
    pub(crate) fn new(pace: &Pace, batch: u64, begin: Instant) -> Arc<Self> {
        let arrivals = pace.rate.map(|rate| Arrivals {
            start: Instant::now(),
            pause: Duration::from_secs_f64(batch as f64 / rate),
            begun: Mutex::new(0),
            waiting: Semaphore::new(0),
        });
        let schedule = Arc::new(Self {
            begin,
            end: pace.duration.map(|duration| begin + duration),
            left: pace.hashes.map(|hashes| AtomicU64::new(hashes.get().div_ceil(batch))),
            arrivals,
        });
        if schedule.is_open() {
            let schedule = Arc::downgrade(&schedule);
            // A thread, since the timers of the runtime are late by up to a millisecond.
            thread::spawn(move || arrive(&schedule));
        }
        schedule
    }

    /// When a unit of work of an open loop is to begin, if that is before the end.
    fn at(&self, number: u64) -> Option<Instant> {
        let at = self.arrivals.as_ref()?.at(number);
        self.end.is_none_or(|end| at < end).then_some(at)
    }

    /// When the next unit of work was to begin, at that time or later; none after the last one.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some(arrivals) = &self.arrivals else {
            return Some(Instant::now()).filter(|now| self.take(*now));
        };
        let mut begun = arrivals.begun.lock().await;
        let Some(intended) = self.at(*begun) else {
            // What comes at a rate takes its time to the end.
            sleep_until(self.end?.into()).await;
            return None;
        };
        if self.is_over() || !self.take(intended) {
            return None;
        }
        arrivals.waiting.acquire().await.ok()?.forget();
        *begun += 1;
        Some(intended)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether units of work begin at a rate.
    pub(crate) fn is_open(&self) -> bool {
        self.arrivals.is_some()
    }

    /// What a unit of work that was to begin at this time is taken from, if they are counted.
    fn left(&self, intended: Instant) -> Option<&AtomicU64> {
        self.left.as_ref().filter(|_| intended >= self.begin)
    }

    fn take(&self, intended: Instant) -> bool {
        let relaxed = Ordering::Relaxed;
        self.left(intended)
            .is_none_or(|left| left.fetch_update(relaxed, relaxed, |n| n.checked_sub(1)).is_ok())
    }

    /// A unit of work that failed has to be done again.
    pub(crate) fn give_back(&self, intended: Instant) {
        if let Some(left) = self.left(intended) {
            left.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many units of work should have begun, but no loop was free.
    pub(crate) fn not_begun(&self) -> u64 {
        let waiting =
            self.arrivals.as_ref().map_or(0, |arrivals| arrivals.waiting.available_permits());
        let left = self.left.as_ref().map_or(u64::MAX, |left| left.load(Ordering::Relaxed));
        left.min(waiting as u64)
    }
}

impl Arrivals {
    fn at(&self, number: u64) -> Instant {
        self.start + self.pause.mul_f64(number as f64)
    }
}

/// Lets the units of work of an open loop come, until the last one or until nobody waits for more.
fn arrive(schedule: &Weak<Schedule>) {
    for number in 0.. {
        let Some(next) = schedule.upgrade().and_then(|schedule| schedule.at(number)) else {
            return;
        };
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if let Some(arrivals) =
            schedule.upgrade().as_ref().and_then(|schedule| schedule.arrivals.as_ref())
        {
            arrivals.waiting.add_permits(1);
        }
    }
}
