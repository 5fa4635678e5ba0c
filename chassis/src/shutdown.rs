//! Shutdown: SIGINT, SIGTERM or SIGHUP makes the service not ready, then stops it; a second signal
//! ends the process at once.

use std::{
    fs,
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::settings::Settings;

/// Signals this close together count as one: `timeout` and some shells send theirs to a process and
/// again to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

/// A handle on the end of the service; clones share it.
#[derive(Clone)]
pub struct Shutdown {
    is_listening: Arc<AtomicBool>,
    is_stopping: Arc<AtomicBool>,
    /// Cancelled when it is time to stop: listeners close, simulated delays end.
    pub stop: CancellationToken,
    /// How long accepted requests may take after that.
    pub timeout: Duration,
}

impl Shutdown {
    /// A shutdown that only its methods begin; `timeout` is how long draining may take.
    pub fn new(timeout: Duration) -> Self {
        let (is_listening, is_stopping) = Default::default();
        Self { is_listening, is_stopping, stop: CancellationToken::new(), timeout }
    }

    /// A shutdown on SIGINT, SIGTERM or SIGHUP. Fails when the process cannot receive signals.
    pub(crate) fn on_signals(settings: &Settings) -> io::Result<Self> {
        let shutdown = Self::new(settings.shutdown_timeout);
        let (delay, ignore_sigterm) = (settings.shutdown_delay, settings.ignore_sigterm);
        // Registered before the service starts, so that no early signal is missed. A terminal sends
        // SIGINT for Ctrl-C and SIGHUP when it closes; container engines and Kubernetes send SIGTERM.
        let mut sigint = signal(SignalKind::interrupt())?;
        let mut sigterm = signal(SignalKind::terminate())?;
        // A handler would undo `nohup`.
        let mut sighup = match ignores_sighup() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        let handle = shutdown.clone();
        tokio::spawn(async move {
            let mut first = None;
            loop {
                let (name, exit_code) = tokio::select! {
                    _ = sigint.recv() => ("SIGINT", 130),
                    _ = sigterm.recv() => ("SIGTERM", 143),
                    Some(_) = async { sighup.as_mut()?.recv().await } => ("SIGHUP", 129),
                };
                match first {
                    _ if name == "SIGTERM" && ignore_sigterm => {
                        info!("SIGTERM ignored, because IGNORE_SIGTERM is on");
                    }
                    None => {
                        first = Some(Instant::now());
                        handle.withdraw();
                        let handle = handle.clone();
                        tokio::spawn(async move {
                            sleep(delay).await;
                            handle.begin();
                        });
                        info!("{name} received, stopping");
                    }
                    Some(first) if first.elapsed() > SAME_SIGNAL => {
                        warn!("{name} received again, exiting at once");
                        std::process::exit(exit_code);
                    }
                    Some(_) => {}
                }
            }
        });
        Ok(shutdown)
    }

    /// Makes the service ready. Has no effect when it is stopping.
    pub fn set_ready(&self) {
        self.is_listening.store(true, Relaxed);
    }

    /// Whether the service accepts new work: from listening to the first signal.
    pub fn is_ready(&self) -> bool {
        self.is_listening.load(Relaxed) && !self.is_stopping()
    }

    /// Whether a signal has come, though the service may still accept connections for a while.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    /// Withdraws readiness: probes fail, and responses ask clients to close their connections.
    pub fn withdraw(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Stops the service at once.
    pub fn begin(&self) {
        self.withdraw();
        self.stop.cancel();
    }
}

/// Whether the process ignores SIGHUP, as under `nohup`. Other systems than Linux do not report it;
/// there, a process without a terminal keeps the disposition that it has.
///
/// Source: proc_pid_status(5), <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>.
fn ignores_sighup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 stands for signal 1, SIGHUP.
    ignored.map_or_else(
        || !io::stdout().is_terminal() && !io::stderr().is_terminal(),
        |mask| mask & 1 == 1,
    )
}
