//! How long Redis operations take, as a Prometheus metric.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>.

use std::time::Instant;

use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds in seconds: those that the conventions advise, and smaller ones because Redis is
/// fast.
const BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Durations by labels; clones share them.
pub(crate) type Latency = Family<[(&'static str, &'static str); 3], Histogram, fn() -> Histogram>;

pub(crate) fn new() -> Latency {
    Family::new_with_constructor(|| Histogram::new(BUCKETS))
}

pub(crate) fn register(latency: Latency, registry: &mut Registry) {
    let help = "Duration of Redis operations, connecting included";
    registry.register_with_unit("db_client_operation_duration", help, Unit::Seconds, latency);
}

#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Add,
    Read,
    Record,
    Coin,
    Heartbeat,
    Deregister,
}

impl Operation {
    /// The value of the label.
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Read => "read",
            Self::Record => "record",
            Self::Coin => "coin",
            Self::Heartbeat => "announce",
            Self::Deregister => "leave",
        }
    }
}

/// Measures an operation until it is dropped.
pub(crate) struct Timer<'a> {
    latency: &'a Latency,
    operation: Operation,
    started: Instant,
    /// True until the operation succeeds, so that a cancelled one counts as failed.
    pub(crate) failed: bool,
}

impl<'a> Timer<'a> {
    pub(crate) fn start(latency: &'a Latency, operation: Operation) -> Self {
        Self { latency, operation, started: Instant::now(), failed: true }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let labels = [
            ("db_system_name", "redis"),
            ("db_operation_name", self.operation.name()),
            ("error_type", if self.failed { "error" } else { "" }),
        ];
        self.latency.get_or_create(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}
