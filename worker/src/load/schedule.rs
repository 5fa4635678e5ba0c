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

/// In how many steps a backlog is told.
const STEPS: u64 = 1000;

/// When the units of work begin, and when there are no more.
pub(crate) struct Schedule {
    begin: Instant,
    end: Option<Instant>,
    /// Units of work that remain to be begun after the warm-up.
    left: Option<AtomicU64>,
    open: Option<Open>,
}

/// An open loop. What the warm-up has not begun in time is not begun at all, so that the measurement
/// does not start with a backlog.
struct Open {
    warm_up: Arc<Arrivals>,
    measured: Arc<Arrivals>,
}

/// Units of work that come at a constant rate.
struct Arrivals {
    start: Instant,
    end: Option<Instant>,
    /// Units of work per second.
    rate: f64,
    /// How many have been begun; held by the loop that waits for the next one.
    begun: Mutex<u64>,
    /// Those that have come and have not been begun.
    waiting: Semaphore,
}

impl Schedule {
    /// The schedule of a load whose warm-up ends at `begin`.
    pub(crate) fn new(pace: &Pace, batch: u64, begin: Instant) -> Arc<Self> {
        let end = pace.duration.map(|duration| begin + duration);
        let open = pace.rate.map(|rate| {
            let rate = rate / batch as f64;
            Open {
                warm_up: Arrivals::new(Instant::now(), Some(begin), rate),
                measured: Arrivals::new(begin, end, rate),
            }
        });
        if let Some(Open { warm_up, measured }) = &open {
            let phases = [warm_up, measured].map(Arc::downgrade);
            // A thread, since the timers of the runtime are late by up to a millisecond.
            thread::spawn(move || phases.iter().for_each(arrive));
        }
        let left = pace.hashes.map(|hashes| AtomicU64::new(hashes.get().div_ceil(batch)));
        Arc::new(Self { begin, end, left, open })
    }

    /// When the next unit of work was to begin, at that time or later; none after the last one.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some(Open { warm_up, measured }) = &self.open else {
            return Some(Instant::now()).filter(|now| self.take(*now));
        };
        if let Some(intended) = warm_up.next().await {
            return Some(intended);
        }
        if !self.take(self.begin) {
            return None;
        }
        let next = measured.next().await;
        if next.is_none() {
            self.give_back(self.begin);
            // What comes at a rate takes its time to the end.
            sleep_until(self.end?.into()).await;
        }
        next
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        has_passed(self.end)
    }

    /// Whether units of work begin at a rate.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
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

    /// Whether a unit of work that has ended now counts: it was begun after the warm-up, or it ends
    /// after it, and then it is one of those that remain to be made.
    pub(crate) fn is_measured(&self, intended: Instant) -> bool {
        intended >= self.begin || Instant::now() >= self.begin && self.take(self.begin)
    }

    /// Whether a unit of work that has failed is still to be done: with the warm-up ends its work.
    pub(crate) fn is_due(&self, intended: Instant) -> bool {
        intended >= self.begin || Instant::now() < self.begin
    }

    /// A unit of work that failed has to be done again.
    pub(crate) fn give_back(&self, intended: Instant) {
        if let Some(left) = self.left(intended) {
            left.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The units of work that should have begun, but no loop was free: how long some of them have
    /// waited so far at least, and how many those are.
    pub(crate) async fn not_begun(&self) -> Vec<(Duration, u64)> {
        let Some(Open { measured, .. }) = &self.open else { return Vec::new() };
        let left = self.left.as_ref().map_or(u64::MAX, |left| left.load(Ordering::Relaxed));
        let count = left.min(measured.waiting.available_permits() as u64);
        let (first, now) = (*measured.begun.lock().await, Instant::now());
        let step = count.div_ceil(STEPS).max(1);
        let steps = (0..count).step_by(step.try_into().unwrap_or(usize::MAX));
        let waited = steps.map(|at| {
            let many = step.min(count - at);
            let last = measured.intended(first + at + many - 1);
            (now.saturating_duration_since(last), many)
        });
        waited.collect()
    }
}

impl Arrivals {
    fn new(start: Instant, end: Option<Instant>, rate: f64) -> Arc<Self> {
        let (begun, waiting) = (Mutex::new(0), Semaphore::new(0));
        Arc::new(Self { start, end, rate, begun, waiting })
    }

    fn intended(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// When a unit of work is to begin, if that is before the end.
    fn at(&self, number: u64) -> Option<Instant> {
        Some(self.intended(number)).filter(|at| self.end.is_none_or(|end| *at < end))
    }

    /// Waits for the next one; none after the last one, or after the end.
    async fn next(&self) -> Option<Instant> {
        let mut begun = self.begun.lock().await;
        let intended = self.at(*begun).filter(|_| !has_passed(self.end))?;
        self.waiting.acquire().await.ok()?.forget();
        *begun += 1;
        Some(intended)
    }
}

fn has_passed(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Lets the units of work of an open loop come, until the last one or until nobody waits for more.
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
