//! How often a unit of work allocates, over worker, rng and hasher together: a number that no later
//! change raises unnoticed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{net::SocketAddr, num::NonZero, sync::Arc, time::Duration};

use axum::Router;
use chassis::{Http, Limits, Shutdown};
use store::Store;
use tokio::{runtime::Builder, task::yield_now};
use worker::{Connections, Insight, Metrics, Worker};

/// Units of work before the count, in which connections are made and buffers grow.
const WARM_UP: u64 = 500;

/// Units of work that are counted.
const COUNTED: u64 = 2000;

fn serve(router: impl FnOnce(&Shutdown) -> Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = chassis::listen("LISTEN", testkit::anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let (router, limits) = (router(shutdown), Limits::default());
    tokio::spawn(chassis::serve(listener, router, Http::default(), limits, shutdown.clone()));
    address
}

/// Allocations per batch, with everything on one thread.
fn per_batch(connections: Connections, batch: u16) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::new(Duration::from_secs(1));
    let worker = {
        let _entered = runtime.enter();
        let rng = rng::Settings { delay: Duration::ZERO, ..chassis::defaults() };
        let router = |end: &Shutdown| {
            rng::router(&rng, "rng".into(), rng::Metrics::default(), end.stop.clone())
        };
        let rng = serve(router, &shutdown);
        let hasher = hasher::Settings { delay: Duration::ZERO, ..chassis::defaults() };
        let hasher = serve(|end| hasher::router(&hasher, end.stop.clone()), &shutdown);
        let settings = worker::Settings {
            rng_url: format!("http://{rng}/").parse().unwrap(),
            hasher_url: format!("http://{hasher}/").parse().unwrap(),
            delay: Duration::ZERO,
            batch: NonZero::new(batch).unwrap(),
            coin_prefix: "00000000".to_owned(),
            connections,
            ..chassis::defaults()
        };
        let peers = worker::Http::new(&settings, Arc::new(|_| None)).unwrap();
        let insight = Insight::new(String::new(), String::new(), Metrics::default());
        Worker::new(settings, peers, Store::memory().unwrap(), insight).unwrap()
    };
    let mine_until = |units: u64| {
        runtime.block_on(async {
            while worker.total().0 < units * u64::from(batch) {
                yield_now().await;
            }
        });
    };
    runtime.spawn(worker.clone().run(shutdown.stop.clone(), Duration::from_secs(1)));
    mine_until(WARM_UP);
    let counted = allocation_counter::measure(|| mine_until(WARM_UP + COUNTED));
    counted.count_total as f64 / COUNTED as f64
}

#[track_caller]
fn assert_at_most(allocations: f64, limit: f64) {
    println!("{allocations:.1} allocations");
    assert!(allocations <= limit, "{allocations:.1} allocations, not {limit}");
    // A limit that is far too high guards nothing.
    assert!(allocations > 0.8 * limit, "{allocations:.1} allocations: lower the limit of {limit}");
}

#[test]
fn a_unit_of_work_over_a_kept_connection() {
    assert_at_most(per_batch(Connections::KeepAlive, 1), 100.0);
}

#[test]
fn a_unit_of_work_over_http2() {
    assert_at_most(per_batch(Connections::Http2, 1), 107.0);
}

#[test]
fn a_thousand_units_of_work_in_a_batch_take_hardly_more_than_one() {
    assert_at_most(per_batch(Connections::KeepAlive, 1024), 107.0);
}
