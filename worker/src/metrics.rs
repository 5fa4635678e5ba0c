//! The metrics of the worker.

use std::time::Duration;

use chassis::seconds;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use store::Stage;

use crate::transport::{ErrorKind, Peer};

/// The metrics of workers; clones share them.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) loops: Gauge,
    pub(crate) units: Counter,
    pub(crate) coins: Counter,
    pub(crate) pending_units: Gauge,
    pub(crate) pending_coins: Gauge,
    errors: Family<ErrorLabels, Counter>,
    stale_connections: Family<Label, Counter>,
    stages: Family<Label, Histogram, fn() -> Histogram>,
}

/// One label.
type Label = [(&'static str, &'static str); 1];

/// The labels of a kind of error: the service that caused it, and the kind.
type ErrorLabels = [(&'static str, &'static str); 2];

/// The peer and the kind of an error of the store, in metrics and reports.
pub const STORE_ERROR: (&str, &str) = ("redis", "store");

/// The labels of an error.
fn labels((peer, kind): (&'static str, &'static str)) -> ErrorLabels {
    [("peer", peer), ("kind", kind)]
}

/// The labels of an error of a request.
fn classify(peer: Peer, kind: ErrorKind) -> ErrorLabels {
    labels((peer.name(), kind.name()))
}

impl Default for Metrics {
    /// Metrics that are not registered.
    fn default() -> Self {
        Self {
            loops: Gauge::default(),
            units: Counter::default(),
            coins: Counter::default(),
            pending_units: Gauge::default(),
            pending_coins: Gauge::default(),
            errors: Family::default(),
            stale_connections: Family::default(),
            stages: Family::new_with_constructor(seconds),
        }
    }
}

impl Metrics {
    /// Metrics that are zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // Series start at zero, or the first error would not count as an increase.
        metrics.errors.get_or_create_owned(&labels(STORE_ERROR));
        for peer in Peer::ALL {
            metrics.stale_connections(peer);
            for kind in ErrorKind::ALL {
                metrics.errors.get_or_create_owned(&classify(peer, kind));
            }
        }
        let Self { loops, units, coins, pending_units, pending_coins, errors, .. } =
            metrics.clone();
        registry.register("worker_loops", "Loops that mine in parallel", loops);
        registry.register("worker_units", "Units of work done", units);
        registry.register("worker_coins", "Coins found", coins);
        let pending = "Units of work that the store has not acknowledged yet";
        registry.register("worker_pending_units", pending, pending_units);
        let pending = "Coins that the store has not acknowledged yet";
        registry.register("worker_pending_coins", pending, pending_coins);
        registry.register("worker_errors", "Errors, by service and kind", errors);
        let help = "Requests sent again because a kept connection ended before the response began";
        registry.register("worker_stale_connections", help, metrics.stale_connections.clone());
        let help = "Time of a unit of work in each stage; redis: of a flush";
        let stages = metrics.stages.clone();
        registry.register_with_unit("worker_stage_duration", help, Unit::Seconds, stages);
        metrics
    }

    /// Counts an error of a request.
    pub(crate) fn add_request_error(&self, peer: Peer, kind: ErrorKind) {
        self.errors.get_or_create(&classify(peer, kind)).inc();
    }

    /// Counts an error of the store.
    pub(crate) fn add_store_error(&self) {
        self.errors.get_or_create(&labels(STORE_ERROR)).inc();
    }

    /// Counts the requests to a peer that are sent again.
    pub(crate) fn stale_connections(&self, peer: Peer) -> Counter {
        self.stale_connections.get_or_create_owned(&[("peer", peer.name())])
    }

    /// Observes how long a stage took.
    pub(crate) fn observe(&self, stage: Stage, took: Duration) {
        self.stages.get_or_create(&[("stage", stage.name())]).observe(took.as_secs_f64());
    }
}
