//! When units of work start: in a closed loop after the previous one, in an open loop at a constant
//! rate, however long the responses take.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use chassis::SettingError;
use tokio::{
    sync::{Mutex, Semaphore},
    time::sleep_until,
};

use crate::LoadProfile;

/// The number of groups that a backlog is divided into; the units of a group share one waiting
/// time.
const BACKLOG_GROUPS: u64 = 1000;

/// When units of work start, and when no more do.
pub(crate) struct Schedule {
    /// The end of the warm-up.
    pub(crate) start: Instant,
    end: Option<Instant>,
    /// Units of work still to be taken after the warm-up, if their number is limited.
    remaining: Option<AtomicU64>,
    /// The arrivals of an open loop, in the warm-up and after it. Those of the warm-up that no loop
    /// has taken by its end are dropped, so that the measurement does not start with a backlog.
    arrivals: Option<[Arc<Arrivals>; 2]>,
}

/// Units of work that arrive at a constant rate.
struct Arrivals {
    start: Instant,
    end: Option<Instant>,
    /// Units of work per second.
    rate: f64,
    /// The number of units taken; locked by the loop that waits for the next one.
    taken: Mutex<u64>,
    /// One permit for each unit that has arrived and is not taken.
    waiting: Semaphore,
}

impl Schedule {
    /// The schedule of a load whose warm-up ends at `start`. Fails when no thread can be started.
    pub(crate) fn new(
        profile: &LoadProfile,
        batch: u64,
        start: Instant,
    ) -> Result<Self, SettingError> {
        let end = profile.duration.map(|duration| start + duration);
        let arrivals = profile.rate.map(|rate| {
            let rate = rate / batch as f64;
            let warm_up = Arrivals::new(Instant::now(), Some(start), rate);
            [warm_up, Arrivals::new(start, end, rate)]
        });
        if let Some(phases) = &arrivals {
            let phases = phases.each_ref().map(Arc::downgrade);
            // A thread, because timers of the runtime are late by up to a millisecond.
            let clock = thread::Builder::new().spawn(move || phases.iter().for_each(arrive));
            clock.map_err(|error| {
                let reason = "cannot start the thread that schedules the units of work";
                SettingError::new(format!("RATE: {reason}: {error}; raise the limit of processes"))
            })?;
        }
        let remaining = profile.hashes.map(|hashes| AtomicU64::new(hashes.get().div_ceil(batch)));
        Ok(Self { start, end, remaining, arrivals })
    }

    /// Waits until the next unit of work may start, and returns its intended start; none after the
    /// last one.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some([warm_up, measured]) = &self.arrivals else {
            return Some(Instant::now()).filter(|now| self.take(*now));
        };
        if let Some(intended) = warm_up.next().await {
            return Some(intended);
        }
        if !self.take(self.start) {
            return None;
        }
        let next = measured.next().await;
        if next.is_none() {
            self.give_back(self.start);
            // An open loop lasts until its end, also when it has no more units to start.
            sleep_until(self.end?.into()).await;
        }
        next
    }

    /// Whether the duration of the load has passed.
    pub(crate) fn is_over(&self) -> bool {
        has_passed(self.end)
    }

    /// Whether units of work start at a rate.
    pub(crate) fn is_open(&self) -> bool {
        self.arrivals.is_some()
    }

    /// The counter that a unit of work is taken from, if it is one of a limited number.
    fn remaining(&self, intended: Instant) -> Option<&AtomicU64> {
        self.remaining.as_ref().filter(|_| intended >= self.start)
    }

    fn take(&self, intended: Instant) -> bool {
        self.remaining(intended).is_none_or(|remaining| {
            remaining.fetch_update(Relaxed, Relaxed, |units| units.checked_sub(1)).is_ok()
        })
    }

    /// Whether a unit of work that has just ended counts: it was started after the warm-up, or it
    /// ends after the warm-up and is still one of the number to be made.
    pub(crate) fn is_measured(&self, intended: Instant) -> bool {
        intended >= self.start || Instant::now() >= self.start && self.take(self.start)
    }

    /// Whether a failed unit of work is to be done again: one of the warm-up only during the
    /// warm-up.
    pub(crate) fn is_due(&self, intended: Instant) -> bool {
        intended >= self.start || Instant::now() < self.start
    }

    /// Returns a unit of work that failed, so that it is taken again.
    pub(crate) fn give_back(&self, intended: Instant) {
        if let Some(remaining) = self.remaining(intended) {
            remaining.fetch_add(1, Relaxed);
        }
    }

    /// The units of work that have arrived but that no loop was free for, in groups: the shortest
    /// waiting time in the group, and the number of its units.
    pub(crate) async fn backlog(&self) -> Vec<(Duration, u64)> {
        let Some([_, measured]) = &self.arrivals else { return Vec::new() };
        let limit = self.remaining.as_ref().map_or(u64::MAX, |units| units.load(Relaxed));
        let count = limit.min(measured.waiting.available_permits() as u64);
        let (first, now) = (*measured.taken.lock().await, Instant::now());
        let size = count.div_ceil(BACKLOG_GROUPS).max(1);
        let groups = (0..count.div_ceil(size)).map(|group| {
            let units = size.min(count - group * size);
            let last = measured.intended(first + group * size + units - 1);
            (now.saturating_duration_since(last), units)
        });
        groups.collect()
    }
}

impl Arrivals {
    fn new(start: Instant, end: Option<Instant>, rate: f64) -> Arc<Self> {
        let (taken, waiting) = (Mutex::new(0), Semaphore::new(0));
        Arc::new(Self { start, end, rate, taken, waiting })
    }

    fn intended(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// When a unit of work arrives, if that is before the end.
    fn at(&self, number: u64) -> Option<Instant> {
        Some(self.intended(number)).filter(|at| self.end.is_none_or(|end| *at < end))
    }

    /// Waits for the next unit; none after the last one, or after the end.
    async fn next(&self) -> Option<Instant> {
        let mut taken = self.taken.lock().await;
        let intended = self.at(*taken).filter(|_| !has_passed(self.end))?;
        self.waiting.acquire().await.ok()?.forget();
        *taken += 1;
        Some(intended)
    }
}

fn has_passed(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Lets the units of an open loop arrive, until the last one or until the schedule is dropped.
fn arrive(arrivals: &Weak<Arrivals>) {
    for number in 0.. {
        let Some(next) = arrivals.upgrade().and_then(|arrivals| arrivals.at(number)) else {
            return;
        };
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if let Some(arrivals) = arrivals.upgrade() {
            arrivals.waiting.add_permits(1);
        }
    }
}
