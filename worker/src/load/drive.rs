//! The pace: closed loops, each of which begins a unit of work when it has done the one before, or
//! arrivals at a constant rate, whatever the answers take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chassis::Shutdown;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, warn};

use crate::{
    Peers, Worker,
    load::{Settings, progress, record::Record, report::Report},
};

/// How long a closed loop waits after an error, so that a peer that refuses everything at once is
/// not flooded.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Generates a load to its end, or until the worker is told to stop.
pub(crate) async fn run<P: Peers>(
    settings: &Settings,
    worker: Arc<Worker<P>>,
    record: &Arc<Record>,
    shutdown: &Shutdown,
) -> Report {
    let (stop, begin) = (&shutdown.stop, record.begin());
    let batch = worker.settings().batch.get().into();
    let schedule = Arc::new(Schedule::new(settings, batch, begin));
    let mut loops = JoinSet::new();
    for _ in 0..worker.settings().concurrency.get() {
        let (worker, schedule) = (worker.clone(), schedule.clone());
        let (record, stop) = (record.clone(), stop.clone());
        let looping = async move { mine(&worker, &schedule, &record, batch, &stop).await };
        loops.spawn(looping.in_current_span());
    }
    let warm_up = async {
        stop.run_until_cancelled(sleep_until(begin.into())).await;
        cpu_time()
    };
    let mining = async {
        let (cpu, ()) = tokio::join!(warm_up, async { while loops.join_next().await.is_some() {} });
        let seconds = begin.elapsed();
        Report::new(&worker, settings, record, seconds, cpu_time() - cpu, schedule.waiting())
    };
    let mining = progress::shown(settings, record, mining);
    worker.attend(mining, stop, shutdown.timeout).await
}

/// One loop: a unit of work whenever the schedule has one.
async fn mine<P: Peers>(
    worker: &Worker<P>,
    schedule: &Schedule,
    record: &Record,
    batch: u64,
    stop: &CancellationToken,
) {
    while let Some(Some(intended)) = stop.run_until_cancelled(schedule.next()).await {
        match worker.step(stop).await {
            Ok(true) => record.unit(intended, batch),
            Ok(false) => {}
            Err(error) => {
                warn!("{error:#}");
                schedule.give_back(intended);
                if schedule.arrivals.is_none() {
                    stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                }
            }
        }
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// When the units of work begin, and when there are no more.
struct Schedule {
    begin: Instant,
    end: Option<Instant>,
    /// Units of work that remain to be begun after the warm-up.
    left: Option<AtomicU64>,
    /// The intended times of an open loop.
    arrivals: Option<Mutex<mpsc::UnboundedReceiver<Instant>>>,
}

impl Schedule {
    fn new(settings: &Settings, batch: u64, begin: Instant) -> Self {
        let end = settings.duration.map(|duration| begin + duration);
        let arrivals = settings.rate.map(|rate| {
            let pause = Duration::from_secs_f64(batch as f64 / rate);
            Mutex::new(arrivals(pause, end))
        });
        let left = settings.hashes.map(|hashes| AtomicU64::new(hashes.get().div_ceil(batch)));
        Self { begin, end, left, arrivals }
    }

    /// When the next unit of work was to begin, at that time or later; none after the last one.
    async fn next(&self) -> Option<Instant> {
        let intended = match &self.arrivals {
            Some(arrivals) => arrivals.lock().await.recv().await?,
            None => Instant::now(),
        };
        let over = self.end.is_some_and(|end| intended >= end);
        (!over && self.take(intended)).then_some(intended)
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
    fn give_back(&self, intended: Instant) {
        if let Some(left) = self.left(intended) {
            left.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many units of work should have begun, but no loop was free.
    fn waiting(&self) -> usize {
        let arrivals = self.arrivals.as_ref().and_then(|arrivals| arrivals.try_lock().ok());
        arrivals.map_or(0, |arrivals| arrivals.len())
    }
}

/// Sends the intended times as they come, until `end` or until nobody listens. A thread, since the
/// timers of the runtime are late by up to a millisecond.
fn arrivals(pause: Duration, end: Option<Instant>) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let start = Instant::now();
        for number in 0_u64.. {
            let intended = start + pause.mul_f64(number as f64);
            if end.is_some_and(|end| intended >= end) {
                break;
            }
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            if sender.send(intended).is_err() {
                break;
            }
        }
    });
    receiver
}
