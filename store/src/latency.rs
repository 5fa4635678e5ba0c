//! How long redis takes to answer.

use std::time::Instant;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Durations by operation; clones share them.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>.
#[derive(Clone)]
pub(crate) struct Latency(Family<Operation, Histogram, fn() -> Histogram>);

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Operation {
    db_system_name: &'static str,
    db_operation_name: &'static str,
    error_type: &'static str,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self(Family::new_with_constructor(seconds))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "db_client_operation_duration",
            "Time that redis took, connecting included",
            Unit::Seconds,
            self.0.clone(),
        );
    }

    /// Observes how long an operation takes until the observation is dropped.
    pub(crate) fn observe(&self, operation: &'static str) -> Observation<'_> {
        Observation { latency: self, operation, started: Instant::now(), failed: true }
    }
}

/// An operation that is going on.
pub(crate) struct Observation<'a> {
    latency: &'a Latency,
    operation: &'static str,
    started: Instant,
    /// Whoever gives an operation up does not get to say that it has worked.
    pub(crate) failed: bool,
}

impl Drop for Observation<'_> {
    fn drop(&mut self) {
        let operation = Operation {
            db_system_name: "redis",
            db_operation_name: self.operation,
            error_type: if self.failed { "error" } else { "" },
        };
        self.latency.0.get_or_create(&operation).observe(self.started.elapsed().as_secs_f64());
    }
}

/// Upper bounds in seconds: those that the conventions advise, and smaller ones, because redis is
/// fast.
fn seconds() -> Histogram {
    Histogram::new([
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0,
    ])
}
