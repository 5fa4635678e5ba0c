//! The admin endpoints, on a port of their own.

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use prometheus_client::registry::Registry;

use crate::{metrics, shutdown::Shutdown};

/// `/healthz` (the process responds), `/readyz` (it accepts new work; 503 before it listens and
/// while it stops), `/version` and `/metrics`. None of them depends on another service.
pub(crate) fn router(registry: Registry, version: String, shutdown: Shutdown) -> Router {
    let registry = Arc::new(registry);
    let ready = move || async move {
        match shutdown.is_ready() {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/version", get(async move || format!("{version}\n")))
        .route("/metrics", get(async move || metrics::expose(&registry)))
}
