//! The loops of a load: each does a unit of work whenever the schedule has one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Error;

use chassis::Shutdown;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, warn};

use crate::{
    Peers, Worker,
    load::{
        Pace, progress,
        record::Record,
        report::{Course, Report},
        schedule::Schedule,
    },
};

/// How long a loop waits after an error, so that a peer that refuses everything at once is not
/// flooded.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Time between two lines about errors.
const COMPLAINT: Duration = Duration::from_secs(1);

/// Generates a load to its end, or until the worker is told to stop.
pub(crate) async fn run<P: Peers>(
    pace: &Pace,
    worker: Arc<Worker<P>>,
    record: &Arc<Record>,
    shutdown: &Shutdown,
) -> Report {
    let (stop, begin) = (&shutdown.stop, record.begin());
    let batch = worker.settings().batch.get().into();
    let (schedule, complaints) = (Schedule::new(pace, batch, begin), Arc::default());
    let mut loops = JoinSet::new();
    for _ in 0..worker.settings().concurrency.get() {
        let mining = Loop {
            worker: worker.clone(),
            schedule: schedule.clone(),
            record: record.clone(),
            complaints: Arc::clone(&complaints),
            stop: stop.clone(),
        };
        loops.spawn(mining.run().in_current_span());
    }
    let warm_up = async {
        stop.run_until_cancelled(sleep_until(begin.into())).await;
        cpu_time()
    };
    let mining = async {
        let mut failed = Vec::new();
        let mining = async {
            while let Some(ended) = loops.join_next().await {
                failed.extend(ended.ok().flatten());
            }
        };
        let (cpu, ()) = tokio::join!(warm_up, mining);
        let (elapsed, cpu) = (begin.elapsed(), cpu_time() - cpu);
        let interrupted = stop.is_cancelled();
        let failed = failed.iter().filter(|intended| **intended >= begin);
        let mut not_done = schedule.not_begun().await;
        not_done.extend(failed.map(|intended| (intended.elapsed(), 1)));
        record.not_done(&not_done);
        Course {
            // Waiting for an answer that never came, or does not count, is no part of it.
            took: match pace.duration.filter(|duration| *duration < elapsed) {
                _ if interrupted => elapsed,
                Some(duration) => duration.max(record.last()),
                None => record.last(),
            },
            cpu,
            not_done: not_done.iter().map(|(_, units)| units * batch).sum(),
            interrupted,
        }
    };
    let mining = progress::shown(pace, record, mining);
    let (course, lost) = worker.attend(mining, stop, shutdown.timeout).await;
    Report::new(&worker, pace, record, course, lost)
}

/// One loop.
struct Loop<P> {
    worker: Arc<Worker<P>>,
    schedule: Arc<Schedule>,
    record: Arc<Record>,
    complaints: Arc<Complaints>,
    stop: CancellationToken,
}

impl<P: Peers> Loop<P> {
    /// Works until there is nothing more to do. Returns when the unit of work was to begin that has
    /// failed and could not be done again in time, in an open loop.
    async fn run(self) -> Option<Instant> {
        let (stop, mut failed) = (&self.stop, None);
        while !stop.is_cancelled() && !self.schedule.is_over() {
            // Before a unit of work is taken, so that none is lost where redis is away.
            if let Err(error) = self.worker.report_if_due(stop).await {
                self.complaints.tell(&error);
                if self.worker.is_full() {
                    stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                    continue;
                }
            }
            let intended = match failed.take().filter(|failed| self.schedule.is_due(*failed)) {
                Some(intended) => intended,
                None => stop.run_until_cancelled(self.schedule.next()).await??,
            };
            match self.worker.work(stop).await {
                Ok(true) => self.enter(intended),
                Ok(false) => {}
                Err(error) => {
                    self.complaints.tell(&error);
                    match self.schedule.is_open() {
                        true => failed = Some(intended),
                        false => self.schedule.give_back(intended),
                    }
                    stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                }
            }
        }
        failed
    }

    fn enter(&self, intended: Instant) {
        let hashes = self.worker.settings().batch.get().into();
        match self.schedule.is_measured(intended) {
            true => self.record.unit(intended, hashes),
            false => self.record.warm_up(hashes),
        }
    }
}

/// Errors in the log, of which there may be thousands a second; the report counts them all.
#[derive(Default)]
struct Complaints {
    last: Mutex<Option<Instant>>,
}

impl Complaints {
    fn tell(&self, error: &Error) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COMPLAINT) {
            warn!("{error:#}");
            *last = Some(Instant::now());
        }
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
