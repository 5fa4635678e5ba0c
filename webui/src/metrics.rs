//! The metrics of webui.

use std::sync::atomic::AtomicU64;

use chassis::GaugeGuard;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

type Number = Gauge<f64, AtomicU64>;

/// The metrics of webui; clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    pub(crate) hashes: Number,
    pub(crate) coins: Number,
    pub(crate) last_reading: Number,
    pub(crate) workers: Number,
    pub(crate) capacity: Number,
    pub(crate) event_streams: Gauge,
}

impl Metrics {
    /// Registers metrics. The values from the store are NaN until the first reading.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for metric in [&metrics.hashes, &metrics.coins, &metrics.workers, &metrics.capacity] {
            metric.set(f64::NAN);
        }
        for (name, help, metric) in [
            ("webui_hashes", "Units of work done, as last read from redis", &metrics.hashes),
            ("webui_coins", "Coins in the wallet, as last read from redis", &metrics.coins),
            (
                "webui_last_reading_timestamp_seconds",
                "Time of the last reading of redis, in seconds since the Unix epoch",
                &metrics.last_reading,
            ),
            (
                "webui_workers",
                "Workers alive, by their heartbeats; NaN while redis cannot be read",
                &metrics.workers,
            ),
            (
                "webui_predicted_hashes_per_second",
                "Speed that the configured delays allow; NaN while unknown",
                &metrics.capacity,
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
    pub(crate) fn open_stream(&self) -> GaugeGuard {
        GaugeGuard::new(&self.event_streams)
    }
}
