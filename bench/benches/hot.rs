//! Benchmarks of the functions that run for every unit of work, in one thread.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
    response::Response,
};
use chassis::{ServedBy, ServerTiming, defaults};
use divan::{Bencher, Divan, black_box, counter::ItemsCount};
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Random bytes in a unit of work.
const BLOCK: usize = 32;

/// Minimum time of each benchmark.
const MIN_TIME: Duration = Duration::from_millis(500);

fn main() {
    Divan::default().min_time(MIN_TIME).config_with_args().main();
}

/// rng writes `Server-Timing` into each response.
#[divan::bench]
fn server_timing_format(bencher: Bencher) {
    bencher.with_inputs(Response::default).bench_values(|mut response: Response| {
        black_box(timing()).add_to(&mut response);
        response
    });
}

/// A worker reads `Server-Timing` from each response.
#[divan::bench]
fn server_timing_parse(bencher: Bencher) {
    let headers = headers();
    bencher.bench(|| ServerTiming::of(black_box(&headers)));
}

/// A worker reads `Served-By` from each response of rng.
#[divan::bench]
fn served_by_parse(bencher: Bencher) {
    let headers = headers();
    bencher.bench(|| ServedBy::of(black_box(&headers)));
}

/// rng without delay and network.
#[divan::bench(args = [1, 32, 1024])]
fn rng(bencher: Bencher, batch: usize) {
    let settings = rng::Settings { delay: Duration::ZERO, ..defaults() };
    let stop = CancellationToken::new();
    let router = rng::router(&settings, "rng".to_owned(), rng::Metrics::default(), stop);
    responses(bencher, batch, &router, Method::GET, &format!("/{}", batch * BLOCK), 0);
}

/// hasher without delay and network, one unit of work per request.
#[divan::bench]
fn hasher(bencher: Bencher) {
    responses(bencher, 1, &hasher_router(), Method::POST, "/", BLOCK);
}

/// hasher with batches.
#[divan::bench(args = [32, 1024])]
fn hasher_blocks(bencher: Bencher, batch: usize) {
    responses(bencher, batch, &hasher_router(), Method::POST, "/blocks/32", batch * BLOCK);
}

fn hasher_router() -> Router {
    let settings = hasher::Settings { delay: Duration::ZERO, ..defaults() };
    hasher::router(&settings, CancellationToken::new())
}

/// Sends a router requests for a batch, with a body of `length` bytes.
fn responses(
    bencher: Bencher,
    batch: usize,
    router: &Router,
    method: Method,
    path: &str,
    length: usize,
) {
    let runtime = runtime();
    let request = || {
        let body = Body::from(vec![7; length]);
        Request::builder().method(&method).uri(path).body(body).unwrap()
    };
    let response = |request: Request<Body>| {
        runtime.block_on(async {
            let response: Response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        })
    };
    bencher.counter(ItemsCount::new(batch)).with_inputs(request).bench_local_values(response);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn timing() -> ServerTiming {
    let [queue, delay, work] = [1_234, 100_067, 42].map(Duration::from_micros);
    ServerTiming { queue, delay, work }
}

/// The headers of a response of rng.
fn headers() -> HeaderMap {
    let mut response = Response::default();
    timing().add_to(&mut response);
    let served_by = ServedBy {
        host: "rng-5d9c7b6f4-x2z8q".to_owned(),
        lanes: Some(1),
        delay: Some(Duration::from_millis(100)),
    };
    response.headers_mut().insert("served-by", served_by.header());
    response.into_parts().0.headers
}
