//! The admin endpoints, on a port of their own.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use prometheus_client::registry::Registry;

use crate::{faults::Faults, metrics, shutdown::Shutdown};

/// `/healthz` (the process responds), `/readyz` (it accepts new work; 503 before it listens and
/// while it stops), `/version` and `/metrics`, and `/faults` if it is enabled. None of them depends
/// on another service.
pub(crate) fn router(
    registry: Registry,
    version: String,
    shutdown: Shutdown,
    faults: Faults,
) -> Router {
    let registry = Arc::new(registry);
    let endpoint = faults.clone().endpoint();
    let ready = move || async move {
        match shutdown.is_ready() && faults.is_ready() {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/version", get(async move || format!("{version}\n")))
        .route(
            "/metrics",
            get(async move |headers: HeaderMap| metrics::expose(&registry, &headers)),
        )
        .merge(endpoint)
}
