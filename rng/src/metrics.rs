//! What rng tells Prometheus.

use prometheus_client::{
    metrics::{gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The metrics of rng; clones share them.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) lanes: Gauge,
    pub(crate) queue_depth: Gauge,
    pub(crate) queue_wait: Histogram,
}

impl Default for Metrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        let queue_wait = chassis::seconds();
        Self { lanes: Gauge::default(), queue_depth: Gauge::default(), queue_wait }
    }
}

impl Metrics {
    /// Metrics that are all zero, to be found in `registry` from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("rng_lanes", "Requests worked on at once", metrics.lanes.clone());
        registry.register(
            "rng_queue_depth",
            "Requests that wait for a lane or are being worked on in one",
            metrics.queue_depth.clone(),
        );
        registry.register_with_unit(
            "rng_queue_wait",
            "Time for which a request waited for a lane",
            Unit::Seconds,
            metrics.queue_wait.clone(),
        );
        metrics
    }
}
