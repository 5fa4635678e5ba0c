//! The metrics of rng.

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
    /// Metrics that are not registered.
    fn default() -> Self {
        let queue_wait = chassis::seconds();
        Self { lanes: Gauge::default(), queue_depth: Gauge::default(), queue_wait }
    }
}

impl Metrics {
    /// Metrics that are zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { lanes, queue_depth, queue_wait } = metrics.clone();
        registry.register("rng_lanes", "Requests worked on at once", lanes);
        let help = "Requests that wait for a lane or have one";
        registry.register("rng_queue_depth", help, queue_depth);
        let help = "Time that a request waited for a lane";
        registry.register_with_unit("rng_queue_wait", help, Unit::Seconds, queue_wait);
        metrics
    }
}
