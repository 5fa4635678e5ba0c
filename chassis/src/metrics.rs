//! What a service tells Prometheus about itself.

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};

/// Where a service registers its metrics; it already says what was built and runs here.
pub fn registry(service: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("service", service), ("version", version)]);
    registry.register("dockercoins_build", "Which program this is", build);
    registry
}

/// All metrics, as they are now.
///
/// Source: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub(crate) fn expose(registry: &Registry) -> Response {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        tracing::error!("the metrics cannot be written as text");
    }
    let text_format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, text_format)], text).into_response()
}
