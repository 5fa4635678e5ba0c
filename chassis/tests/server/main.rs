//! The server over real sockets: limits against hostile clients, and shutdown without lost
//! requests.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod clients;
mod draining;
mod http2;
mod listening;

use std::{convert::Infallible, future::pending, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use chassis::{Limits, Shutdown};
use futures_util::{StreamExt, stream};
use testkit::{Service, any_port};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);
const LARGE: usize = 32 * 1024 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
const GET_WAIT: &str = "GET /wait HTTP/1.1\r\nHost: here\r\n\r\n";

/// Limits that no test reaches.
fn no_limits() -> Limits {
    Limits { first_byte: HOUR, header: HOUR, stalled_write: HOUR, ..Limits::default() }
}

fn router(stop: CancellationToken) -> Router {
    let wait = async move || {
        chassis::simulate(HOUR, &stop).await;
        "waited\n"
    };
    let silent = async || {
        let hello = stream::once(async { Ok::<_, Infallible>("hello\n") });
        Body::from_stream(hello.chain(stream::pending()))
    };
    let unread = async |request: axum::extract::Request| {
        sleep(SHORT / 2).await;
        drop(request);
    };
    Router::new()
        .route("/", get(async || "hello\n"))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/unread", post(unread))
        .route("/late", get(async || sleep(5 * SHORT).await))
        .route("/wait", get(wait))
        .route("/stuck", get(pending::<()>))
        .route("/large", get(async || vec![0_u8; LARGE]))
        .route("/silent", get(silent))
}

fn start(limits: Limits) -> Service {
    Service::start(limits, router)
}

fn start_with_timeout(timeout: Duration) -> Service {
    Service::start_on(any_port(), no_limits(), Shutdown::new(timeout), router)
}
