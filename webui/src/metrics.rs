//! What webui tells Prometheus.

use std::sync::atomic::AtomicU64;

use chassis::Present;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

type Number = Gauge<f64, AtomicU64>;

/// The metrics of webui; clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    pub(crate) hashes: Number,
    pub(crate) coins: Number,
    pub(crate) last_reading: Number,
    pub(crate) workers: Number,
    pub(crate) predicted: Number,
    pub(crate) event_streams: Gauge,
}

impl Metrics {
    /// Metrics that know nothing yet, to be found in `registry` from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for unknown in [&metrics.hashes, &metrics.coins, &metrics.workers, &metrics.predicted] {
            unknown.set(f64::NAN);
        }
        for (name, help, metric) in [
            ("webui_hashes", "Units of work done, as last read from redis", &metrics.hashes),
            ("webui_coins", "Coins in the wallet, as last read from redis", &metrics.coins),
            (
                "webui_last_reading_timestamp_seconds",
                "When redis was last read, in seconds since the Unix epoch",
                &metrics.last_reading,
            ),
            (
                "webui_workers",
                "Workers that said they are alive; NaN while redis cannot be read",
                &metrics.workers,
            ),
            (
                "webui_predicted_hashes_per_second",
                "What rng and the workers could do at most; NaN while unknown",
                &metrics.predicted,
            ),
        ] {
            registry.register(name, help, metric.clone());
        }
        registry.register(
            "webui_event_streams",
            "Browsers that are connected to /events",
            metrics.event_streams.clone(),
        );
        metrics
    }

    /// Counts a stream until it is dropped.
    pub(crate) fn open_stream(&self) -> Present {
        Present::new(&self.event_streams)
    }
}
