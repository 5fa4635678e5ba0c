//! What rng tells Prometheus.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// The metrics of rng; clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    pub(crate) queue_depth: Gauge,
}

impl Metrics {
    /// Metrics that are all zero, to be found in `registry` from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "rng_queue_depth",
            "Requests that wait for a lane or are being worked on in one",
            metrics.queue_depth.clone(),
        );
        metrics
    }

    /// Counts a request until its place is dropped.
    pub(crate) fn enter_queue(&self) -> Place<'_> {
        self.queue_depth.inc();
        Place(&self.queue_depth)
    }
}

/// A place in the queue, which is free again when this is dropped, for whatever reason.
pub(crate) struct Place<'a>(&'a Gauge);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
