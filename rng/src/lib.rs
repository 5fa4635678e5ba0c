//! rng responds to `GET /<n>` with n random bytes, one request at a time, each after 100 ms: the
//! bottleneck of DockerCoins.

mod lane;
mod metrics;

use std::{convert::Infallible, num::NonZero, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use bytes::Bytes;
use chassis::ByteSize;
use futures_util::stream;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::lane::Lane;
pub use crate::metrics::Metrics;

/// The largest part of a response that is in memory at once, in bytes.
const CHUNK: u64 = 16 * 1024;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The settings of rng.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Simulated delay of each response with random bytes.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::parse_duration)]
    pub delay: Duration,
    /// Requests worked on at once; further ones queue. The original has one lane.
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub lanes: NonZero<u16>,
    /// Maximum number of random bytes in one response.
    #[arg(long, env, default_value = "100MiB", value_parser = chassis::parse_size)]
    pub max_bytes: ByteSize,
}

/// The routes of rng. `host` is its name in `Served-By`; simulated delays end when `stop` is
/// cancelled.
pub fn router(
    settings: &Settings,
    host: String,
    metrics: Metrics,
    stop: CancellationToken,
) -> Router {
    let lane = Arc::new(Lane::new(settings.clone(), host, metrics, stop));
    Router::new()
        .route("/", get(index).fallback(not_allowed))
        .route("/{n}", any(random_bytes))
        .fallback(not_found)
        .with_state(lane.clone())
        // Around everything: the original serves even errors one at a time.
        .layer(middleware::from_fn_with_state(lane, lane::queue))
}

async fn index() -> Html<String> {
    Html(format!("RNG running on {}\n", chassis::hostname()))
}

async fn random_bytes(
    method: Method,
    State(lane): State<Arc<Lane>>,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit());
    let Some(Path(n)) = path.ok().filter(|Path(n)| is_number(n)) else {
        return not_found().await;
    };
    if method != Method::GET && method != Method::HEAD {
        return not_allowed(method).await;
    }
    let max_bytes = lane.settings.max_bytes.as_u64();
    // A number that does not fit into u64 is above any maximum.
    let n = n.parse().unwrap_or(u64::MAX);
    if n > max_bytes {
        let sentence = format!("Please ask for at most {max_bytes} bytes at once.\n");
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let delayed = lane.delay().await;
    let headers = [(CONTENT_TYPE, BYTES), (CONTENT_LENGTH, n.into())];
    (delayed, headers, body(n)).into_response()
}

async fn not_found() -> Response {
    let sentence = "Not found. Please ask for a number of bytes, such as /32.\n";
    (StatusCode::NOT_FOUND, sentence).into_response()
}

/// The response of Flask, which the original uses, to a method that a resource does not have.
async fn not_allowed(method: Method) -> Response {
    let (status, sentence) = match method {
        Method::OPTIONS => (StatusCode::OK, ""),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed. Please use GET.\n"),
    };
    (status, [(ALLOW, "GET, HEAD, OPTIONS")], sentence).into_response()
}

/// `n` random bytes, generated while they are sent.
fn body(n: u64) -> Body {
    if n <= CHUNK {
        return Body::from(chunk(n));
    }
    let starts = (0..n).step_by(CHUNK as usize);
    let chunks = starts.map(move |start| Ok::<_, Infallible>(chunk(CHUNK.min(n - start))));
    Body::from_stream(stream::iter(chunks))
}

fn chunk(n: u64) -> Bytes {
    let mut bytes = vec![0; n as usize];
    rand::rng().fill_bytes(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use chassis::defaults;
    use tokio::{task::JoinHandle, time::Instant};
    use tower::ServiceExt;

    use super::*;

    /// Sends a request behind the earlier ones.
    async fn send(router: &Router, method: &str, path: &str) -> JoinHandle<Response> {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let response = tokio::spawn(router.clone().oneshot(request.unwrap()));
        tokio::task::yield_now().await;
        tokio::spawn(async { response.await.unwrap().unwrap() })
    }

    fn timing(response: &Response) -> &str {
        response.headers()["server-timing"].to_str().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_requests_take_ten_delays() {
        let router =
            router(&defaults(), "rng".into(), Metrics::default(), CancellationToken::new());
        let started = Instant::now();
        let mut responses = Vec::new();
        for _ in 0..10 {
            responses.push(send(&router, "GET", "/32").await);
        }
        for (before, response) in responses.into_iter().enumerate() {
            let queue = 100 * before;
            let expected = format!("queue;dur={queue}.000, delay;dur=100.000, work;dur=0.000");
            assert_eq!(timing(&response.await.unwrap()), expected);
        }
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_waits_for_the_lane_but_only_random_bytes_are_delayed() {
        let router =
            router(&defaults(), "rng".into(), Metrics::default(), CancellationToken::new());
        let bytes = send(&router, "GET", "/1").await;
        let mut others = Vec::new();
        for (method, path, status) in [
            ("GET", "/", 200),
            ("HEAD", "/", 200),
            ("GET", "/abc", 404),
            ("GET", "/some/where", 404),
            ("POST", "/1", 405),
            ("GET", "/104857601", 400),
        ] {
            others.push((send(&router, method, path).await, status));
        }
        bytes.await.unwrap();
        for (other, status) in others {
            let other = other.await.unwrap();
            assert_eq!(other.status(), status);
            assert_eq!(timing(&other), "queue;dur=100.000, delay;dur=0.000, work;dur=0.000");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn three_lanes_serve_three_at_once() {
        let settings = Settings { lanes: 3.try_into().unwrap(), ..defaults() };
        let router = router(&settings, "rng".into(), Metrics::default(), CancellationToken::new());
        let started = Instant::now();
        let mut responses = Vec::new();
        for _ in 0..9 {
            responses.push(send(&router, "GET", "/32").await);
        }
        for response in responses {
            response.await.unwrap();
        }
        assert_eq!(started.elapsed(), Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_depth_counts_waiting_and_served_requests_until_they_end_or_are_dropped() {
        let metrics = Metrics::default();
        let router = router(&defaults(), "rng".into(), metrics.clone(), CancellationToken::new());
        let first = send(&router, "GET", "/32").await;
        let second = send(&router, "GET", "/nowhere").await;
        let dropped = Request::builder().uri("/32").body(Body::empty()).unwrap();
        let dropped = tokio::spawn(router.clone().oneshot(dropped));
        tokio::task::yield_now().await;
        assert_eq!(metrics.queue_depth.get(), 3);
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        assert_eq!(metrics.queue_depth.get(), 2);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(metrics.queue_depth.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn delays_end_when_the_service_stops() {
        let stop = CancellationToken::new();
        let router = router(&defaults(), "rng".into(), Metrics::default(), stop.clone());
        let mut responses = Vec::new();
        for _ in 0..50 {
            responses.push(send(&router, "GET", "/32").await);
        }
        stop.cancel();
        let stopped = Instant::now();
        for response in responses {
            assert_eq!(response.await.unwrap().status(), 200);
        }
        assert_eq!(stopped.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_large_response_is_generated_while_it_is_sent() {
        let body = body(1 << 40);
        let mut pieces = body.into_data_stream();
        let first = futures_util::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        let second = futures_util::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        assert_eq!(first.len() as u64, CHUNK);
        assert_ne!(first, second);
    }
}
