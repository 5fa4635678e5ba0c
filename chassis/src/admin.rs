//! The admin endpoints, apart from the application's own port.

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use prometheus_client::registry::Registry;

use crate::{Shutdown, metrics};

/// `/healthz` (the process answers), `/readyz` (it takes new work; 503 before it listens and once
/// it is stopping), `/version` and `/metrics`. None of them asks a peer.
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
