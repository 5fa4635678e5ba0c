//! The admin endpoints, apart from the application's own port.

use axum::{Router, http::StatusCode, routing::get};

use crate::Shutdown;

/// `/healthz` (the process answers), `/readyz` (it takes new work; 503 before it listens and once
/// it is stopping) and
/// `/version`. None of them asks a peer.
pub(crate) fn router(version: &'static str, shutdown: Shutdown) -> Router {
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
}
