//! rng answers `GET /<n>` with n random bytes, one request at a time and 100 ms later: the
//! bottleneck of DockerCoins.

mod lane;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{
        Method, StatusCode,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware,
    response::{Html, IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use chassis::ByteSize;
use futures_util::stream;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::lane::Lane;

/// The largest piece of an answer that is in memory at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// What rng can be told.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Simulated delay of each answer with random bytes.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::parse_duration)]
    pub delay: Duration,
    /// Requests that are worked on at once; the others queue. The original has one lane.
    #[arg(long, env, default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    pub lanes: u16,
    /// The most random bytes that one request may ask for.
    #[arg(long, env, default_value = "100MiB", value_parser = chassis::parse_size)]
    pub max_bytes: ByteSize,
}

/// The routes of rng. Simulated delays end at once when `stop` is cancelled.
pub fn router(settings: &Settings, stop: CancellationToken) -> Router {
    let lane = Arc::new(Lane::new(settings.lanes, settings.delay, stop));
    let max_bytes = settings.max_bytes.as_u64();
    Router::new()
        .route("/", any(index))
        .route("/{n}", any(move |method, lane, path| random_bytes(method, lane, path, max_bytes)))
        .with_state(lane.clone())
        // Around everything, because the original serves nothing in parallel, errors included.
        .layer(middleware::from_fn_with_state(lane, lane::queue))
}

async fn index(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => {
            Html(format!("RNG running on {}\n", chassis::hostname())).into_response()
        }
        _ => without_view(&method),
    }
}

async fn random_bytes(
    method: Method,
    State(lane): State<Arc<Lane>>,
    path: Result<Path<String>, PathRejection>,
    max_bytes: u64,
) -> Response {
    let Ok(Path(n)) = path else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if n.is_empty() || !n.bytes().all(|byte| byte.is_ascii_digit()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return without_view(&method);
    }
    // A number too large for the machine is too large for the cap.
    let n = n.parse().unwrap_or(u64::MAX);
    if n > max_bytes {
        let sentence = format!("Please ask for at most {max_bytes} bytes at once.\n");
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let delayed = lane.delay().await;
    let headers =
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, n.to_string())];
    (delayed, headers, body(n)).into_response()
}

/// What Flask answers to a method for which a resource has no view.
fn without_view(method: &Method) -> Response {
    let status = match *method {
        Method::OPTIONS => StatusCode::OK,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    (status, [(ALLOW, "GET, HEAD, OPTIONS")]).into_response()
}

/// `n` random bytes, made while they are sent.
fn body(n: u64) -> Body {
    if n <= CHUNK {
        return Body::from(chunk(n));
    }
    let starts = (0..n).step_by(CHUNK as usize);
    Body::from_stream(stream::iter(
        starts.map(move |start| Ok::<_, std::convert::Infallible>(chunk(CHUNK.min(n - start)))),
    ))
}

fn chunk(n: u64) -> Bytes {
    let mut bytes = vec![0; n as usize];
    rand::rng().fill_bytes(&mut bytes);
    bytes.into()
}
