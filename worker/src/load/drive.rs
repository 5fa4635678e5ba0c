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
    load::{Pace, progress, record::Record, report::Report, schedule::Schedule},
};

/// How long a closed loop waits after an error, so that a peer that refuses everything at once is
/// not flooded.
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
        let (cpu, ()) = tokio::join!(warm_up, async { while loops.join_next().await.is_some() {} });
        let (took, cpu, not_begun) =
            (begin.elapsed(), cpu_time() - cpu, schedule.not_begun().await);
        record.not_begun(&not_begun);
        let not_begun = not_begun.iter().map(|(_, units)| units * batch).sum();
        Report::new(&worker, pace, record, took, cpu, not_begun, stop.is_cancelled())
    };
    let mining = progress::shown(pace, record, mining);
    let (report, lost) = worker.attend(mining, stop, shutdown.timeout).await;
    report.with_lost(lost)
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
    async fn run(self) {
        let stop = &self.stop;
        while !stop.is_cancelled() && !self.schedule.is_over() {
            // Before a unit of work is taken, so that none is lost where redis is away.
            if let Err(error) = self.worker.report_if_due(stop).await {
                self.complaints.tell(&error);
                stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                continue;
            }
            let Some(Some(intended)) = stop.run_until_cancelled(self.schedule.next()).await else {
                return;
            };
            match self.worker.work(stop).await {
                Ok(true) => self.record.unit(intended, self.worker.settings().batch.get().into()),
                Ok(false) => {}
                Err(error) => {
                    self.complaints.tell(&error);
                    self.schedule.give_back(intended);
                    if !self.schedule.is_open() {
                        stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                    }
                }
            }
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
