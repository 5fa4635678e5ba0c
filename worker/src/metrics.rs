//! What the worker tells Prometheus.

use chassis::seconds;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::peers::PeerError;

/// Who can fail, and how.
const ERRORS: [(&str, &[&str]); 3] =
    [("rng", &PeerError::KINDS), ("hasher", &PeerError::KINDS), ("redis", &["store"])];

/// The metrics of workers; clones share them.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) loops: Gauge,
    pub(crate) units: Counter,
    pub(crate) coins: Counter,
    pub(crate) pending_units: Gauge,
    pub(crate) pending_coins: Gauge,
    pub(crate) errors: Family<Trouble, Counter>,
    pub(crate) stages: Family<Stage, Histogram, fn() -> Histogram>,
}

/// Who failed, and how.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) peer: &'static str,
    pub(crate) kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct Stage {
    pub(crate) stage: &'static str,
}

impl Default for Metrics {
    /// Metrics that nobody reads.
    fn default() -> Self {
        Self {
            loops: Gauge::default(),
            units: Counter::default(),
            coins: Counter::default(),
            pending_units: Gauge::default(),
            pending_coins: Gauge::default(),
            errors: Family::default(),
            stages: Family::new_with_constructor(seconds),
        }
    }
}

impl Metrics {
    /// Metrics that are all zero, to be found in `registry` from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // What has not happened yet is zero, or the first of its kind would be no increase.
        for (peer, kinds) in ERRORS {
            for kind in kinds {
                metrics.errors.get_or_create_owned(&Trouble { peer, kind });
            }
        }
        let Self { loops, units, coins, pending_units, pending_coins, errors, stages } =
            metrics.clone();
        registry.register("worker_loops", "Loops that mine side by side", loops);
        registry.register("worker_units", "Units of work done", units);
        registry.register("worker_coins", "Coins found", coins);
        let pending = "Units of work that the store has not acknowledged yet";
        registry.register("worker_pending_units", pending, pending_units);
        let pending = "Coins that the store has not acknowledged yet";
        registry.register("worker_pending_coins", pending, pending_coins);
        registry.register("worker_errors", "Errors, by who failed and how", errors);
        let help = "Time of a unit of work in each stage; redis: of a report";
        registry.register_with_unit("worker_stage_duration", help, Unit::Seconds, stages);
        metrics
    }
}
