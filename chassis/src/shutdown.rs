//! Shutdown: SIGINT or SIGTERM makes the service not ready, then stops it; a second one ends it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Settings;

/// Signals this close together are one: `timeout` and some shells send theirs to a process and
/// again to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// A cheap handle on the end of the process, passed to whatever must stop.
#[derive(Clone)]
pub struct Shutdown {
    phase: Arc<AtomicU8>,
    /// Cancelled when it is time to stop: listeners close, simulated delays end.
    pub stop: CancellationToken,
    /// How long what was accepted may take after that.
    pub timeout: Duration,
}

impl Shutdown {
    /// A shutdown that somebody else decides on; `timeout` is how long draining may take.
    pub fn new(timeout: Duration) -> Self {
        Self { phase: Arc::new(AtomicU8::new(STARTING)), stop: CancellationToken::new(), timeout }
    }

    /// A shutdown on SIGINT or SIGTERM. Fails when the process cannot listen for signals.
    pub(crate) fn on_signals(settings: &Settings) -> io::Result<Self> {
        let shutdown = Self::new(settings.shutdown_timeout);
        // Registered before anything is served, so that no early signal is missed.
        let signals = Signals {
            // Ctrl-C in a terminal.
            interrupt: signal(SignalKind::interrupt())?,
            // Container engines and Kubernetes.
            terminate: signal(SignalKind::terminate())?,
            ignore_terminate: settings.ignore_sigterm,
        };
        tokio::spawn(shutdown.clone().follow(signals, settings.shutdown_delay));
        Ok(shutdown)
    }

    /// Says that the service listens. Without effect once it is stopping.
    pub fn set_ready(&self) {
        let (relaxed, phase) = (Ordering::Relaxed, &self.phase);
        let _ = phase.compare_exchange(STARTING, READY, relaxed, relaxed);
    }

    /// Whether new work is welcome: from listening to the first signal.
    pub fn is_ready(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == READY
    }

    /// Whether the service was told to stop, though it may still accept for a while.
    pub fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STOPPING
    }

    /// Withdraws readiness: probes fail and answers ask clients to close their connections.
    pub fn withdraw(&self) {
        self.phase.store(STOPPING, Ordering::Relaxed);
    }

    /// Stops the service at once.
    pub fn begin(&self) {
        self.withdraw();
        self.stop.cancel();
    }

    async fn follow(self, mut signals: Signals, delay: Duration) {
        let (name, _) = signals.next().await;
        self.withdraw();
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            shutdown.begin();
        });
        info!("{name} received, stopping");
        let first = Instant::now();
        loop {
            let (name, code) = signals.next().await;
            if first.elapsed() > SAME_SIGNAL {
                warn!("{name} received again, exiting at once");
                std::process::exit(code);
            }
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    ignore_terminate: bool,
}

impl Signals {
    /// The next signal that counts, and the exit code by which shells know it.
    async fn next(&mut self) -> (&'static str, i32) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return ("SIGINT", 130),
                _ = self.terminate.recv() => {
                    if !self.ignore_terminate {
                        return ("SIGTERM", 143);
                    }
                    info!("SIGTERM ignored, as IGNORE_SIGTERM asks");
                }
            }
        }
    }
}
