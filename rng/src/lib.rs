//! rng answers `GET /<n>` with n random bytes, one request at a time and 100 ms later: the
//! bottleneck of DockerCoins.

mod lane;
mod metrics;

use std::{num::NonZero, sync::Arc, time::Duration};

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
pub use crate::metrics::Metrics;

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
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub lanes: NonZero<u16>,
    /// The most random bytes that one request may ask for.
    #[arg(long, env, default_value = "100MiB", value_parser = chassis::parse_size)]
    pub max_bytes: ByteSize,
}

/// The routes of rng, which answers under a name. Simulated delays end at once when `stop` is
/// cancelled.
pub fn router(
    settings: &Settings,
    name: String,
    metrics: Metrics,
    stop: CancellationToken,
) -> Router {
    let lane = Arc::new(Lane::new(settings, name, metrics, stop));
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

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use chassis::defaults;
    use tokio::{task::JoinHandle, time::Instant};
    use tower::ServiceExt;

    use super::*;

    /// Sends a request on its way, behind those before it.
    async fn send(router: &Router, method: &str, path: &str) -> JoinHandle<Response> {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let answer = tokio::spawn(router.clone().oneshot(request.unwrap()));
        tokio::task::yield_now().await;
        tokio::spawn(async { answer.await.unwrap().unwrap() })
    }

    fn timing(response: &Response) -> &str {
        response.headers()["server-timing"].to_str().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_requests_take_ten_delays() {
        let router =
            router(&defaults(), "rng".into(), Metrics::default(), CancellationToken::new());
        let started = Instant::now();
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(send(&router, "GET", "/32").await);
        }
        for (before, answer) in answers.into_iter().enumerate() {
            let queue = 100 * before;
            let expected = format!("queue;dur={queue}.000, delay;dur=100.000, work;dur=0.000");
            assert_eq!(timing(&answer.await.unwrap()), expected);
        }
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn everything_waits_in_the_lane_but_only_bytes_are_delayed() {
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
        let mut answers = Vec::new();
        for _ in 0..9 {
            answers.push(send(&router, "GET", "/32").await);
        }
        for answer in answers {
            answer.await.unwrap();
        }
        assert_eq!(started.elapsed(), Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_depth_counts_who_waits_and_who_is_served_until_they_have_or_leave() {
        let metrics = Metrics::default();
        let router = router(&defaults(), "rng".into(), metrics.clone(), CancellationToken::new());
        let first = send(&router, "GET", "/32").await;
        let second = send(&router, "GET", "/nowhere").await;
        let leaving = Request::builder().uri("/32").body(Body::empty()).unwrap();
        let leaving = tokio::spawn(router.clone().oneshot(leaving));
        tokio::task::yield_now().await;
        assert_eq!(metrics.queue_depth.get(), 3);
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        assert_eq!(metrics.queue_depth.get(), 2);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(metrics.queue_depth.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_delay_is_slept_once_the_service_stops() {
        let stop = CancellationToken::new();
        let router = router(&defaults(), "rng".into(), Metrics::default(), stop.clone());
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(send(&router, "GET", "/32").await);
        }
        stop.cancel();
        let stopped = Instant::now();
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        assert_eq!(stopped.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_large_answer_is_made_while_it_is_sent() {
        let body = body(1 << 40);
        let mut pieces = body.into_data_stream();
        let first = futures_util::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        let second = futures_util::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        assert_eq!(first.len() as u64, CHUNK);
        assert_ne!(first, second);
    }
}
