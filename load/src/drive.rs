//! The loops of a load: each does a unit of work whenever the schedule has one.

use std::{
    fmt::Display,
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use chassis::Shutdown;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use worker::{Client, STORE_ERROR, Worker};

use crate::{
    LoadProfile, Terminal,
    record::Record,
    report::{Report, RunStats},
    schedule::Schedule,
};

/// How long a loop waits after an error, so that it does not flood a peer that refuses connections.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Time between two errors in the log; the report counts all of them.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Generates a load until its end, until it stalls, or until the process is to stop. Fails when no
/// thread can be started.
pub(crate) async fn run(
    profile: &LoadProfile,
    worker: Arc<Worker<Client>>,
    terminal: Terminal,
    shutdown: &Shutdown,
) -> Result<Report> {
    let record = Record::new(profile.warm_up);
    let batch = worker.settings().batch.get().into();
    let load = Arc::new(Load {
        profile: profile.clone(),
        worker: worker.clone(),
        schedule: Schedule::new(profile, batch, record.start)?,
        record: record.into(),
        last_logged: Mutex::default(),
        stall: OnceLock::new(),
        halt: shutdown.stop.child_token(),
    });
    let running = terminal.show_while(load.run(), || load.status());
    let running = worker.run_with_heartbeat(running, &shutdown.stop, shutdown.timeout);
    let (stats, unflushed) = running.await;
    let data = mem::take(&mut load.record().data);
    Ok(Report::new(worker.settings(), profile, data, stats, unflushed))
}

/// The state that the loops of a load share.
struct Load {
    profile: LoadProfile,
    worker: Arc<Worker<Client>>,
    schedule: Schedule,
    record: Mutex<Record>,
    last_logged: Mutex<Option<Instant>>,
    /// Why the load gave up.
    stall: OnceLock<String>,
    /// Ends the loops before the schedule does.
    halt: CancellationToken,
}

impl Load {
    async fn run(self: &Arc<Self>) -> RunStats {
        let (start, mut loops) = (self.schedule.start, JoinSet::new());
        for _ in 0..self.worker.settings().concurrency.get() {
            loops.spawn(self.clone().run_loop());
        }
        let warm_up = async {
            self.halt.run_until_cancelled(sleep_until(start.into())).await;
            cpu_time()
        };
        let (cpu_before, failed) = tokio::join!(warm_up, loops.join_all());
        let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu_before);
        let interrupted = self.halt.is_cancelled();
        let failed = failed.into_iter().flatten().filter(|intended| *intended >= start);
        let mut not_done = self.schedule.backlog().await;
        not_done.extend(failed.map(|intended| (intended.elapsed(), 1)));
        let mut record = self.record();
        not_done.iter().for_each(|&(waited, units)| record.not_done(waited, units));
        let units: u64 = not_done.iter().map(|(_, units)| units).sum();
        let took = match self.profile.duration.filter(|duration| *duration < elapsed) {
            _ if interrupted => elapsed,
            // Without the wait for responses that did not come or do not count.
            Some(duration) => duration.max(record.last_hash),
            None => record.last_hash,
        };
        RunStats {
            seconds: took.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            not_done: units * u64::from(self.worker.settings().batch.get()),
            interrupted,
            stall: self.stall.get().cloned(),
        }
    }

    /// Works until the load ends. Returns the intended start of a unit of work of an open loop that
    /// failed and was not done again in time.
    async fn run_loop(self: Arc<Self>) -> Option<Instant> {
        let (halt, mut failed) = (&self.halt, None);
        while !halt.is_cancelled() && !self.schedule.is_over() {
            // Before a unit is taken, so that its coins have room.
            match self.worker.flush_if_due(halt).await {
                Ok(flushed) => flushed.into_iter().for_each(|took| self.record().flush(took)),
                Err(error) => {
                    self.fail(STORE_ERROR, &error);
                    if self.worker.is_full() {
                        halt.run_until_cancelled(sleep(RETRY_DELAY)).await;
                        continue;
                    }
                }
            }
            let intended = match failed.take().filter(|failed| self.schedule.is_due(*failed)) {
                Some(intended) => intended,
                None => halt.run_until_cancelled(self.schedule.next()).await??,
            };
            match self.worker.work(halt).await {
                Ok(Some(unit)) => {
                    let hashes = self.worker.settings().batch.get().into();
                    let measured_from =
                        Some(intended).filter(|intended| self.schedule.is_measured(*intended));
                    self.record().unit(&unit, hashes, measured_from);
                }
                Ok(None) => {}
                Err(error) => {
                    match self.schedule.is_open() {
                        true => failed = Some(intended),
                        false => self.schedule.give_back(intended),
                    }
                    self.fail((error.peer.name(), error.kind.name()), &error);
                    halt.run_until_cancelled(sleep(RETRY_DELAY)).await;
                }
            }
        }
        failed
    }

    /// Records and logs an error, and gives up if there have been only errors for too long.
    fn fail(&self, (peer, kind): (&'static str, &'static str), error: &impl Display) {
        let failing = self.record().error(peer, kind);
        let mut logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            warn!("{error:#}");
            *logged = Some(Instant::now());
        }
        let timeout = self.profile.stall_timeout;
        // A duration ends the load anyway.
        if self.profile.duration.is_none() && failing >= timeout {
            self.stall.get_or_init(|| {
                let timeout = humantime::format_duration(timeout);
                format!(
                    "the load gave up after {timeout} without a successful unit of work \
                     (--stall-timeout); the last error was: {error:#}"
                )
            });
            self.halt.cancel();
        }
    }

    /// The progress in one short line.
    fn status(&self) -> String {
        let elapsed = Instant::now().saturating_duration_since(self.schedule.start);
        let (seconds, hashes) = (elapsed.as_secs_f64(), self.record().data.hashes);
        let speed = hashes as f64 / seconds.max(0.001);
        format!("{seconds:.0} s, {hashes} hashes, {speed:.0} hashes/s")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
