//! How often a unit of work allocates, over worker, rng and hasher together: a number that no later
//! change raises unnoticed.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use tokio::{runtime::Builder, task::yield_now};
use worker::{Connections, Settings};

use crate::Delays;

/// Units of work before the count, in which connections are made and buffers grow.
const WARM_UP: u64 = 500;

/// Units of work that are counted.
const COUNTED: u64 = 2000;

/// Allocations per batch, with everything on one thread.
fn per_batch(connections: Connections, batch: u16) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::new(Duration::from_secs(1));
    let worker = {
        let _entered = runtime.enter();
        let (delay, batch) = (Duration::ZERO, NonZero::new(batch).unwrap());
        let settings = Settings { delay, batch, connections, ..chassis::defaults() };
        crate::worker(settings, Delays::default(), &shutdown, |http| http)
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
fn a_unit_of_work_over_connections_of_its_own() {
    assert_at_most(per_batch(Connections::PerRequest, 1), 270.0);
}

#[test]
fn a_unit_of_work_over_a_kept_connection() {
    assert_at_most(per_batch(Connections::KeepAlive, 1), 110.0);
}

#[test]
fn a_unit_of_work_over_http2() {
    assert_at_most(per_batch(Connections::Http2, 1), 107.0);
}

#[test]
fn a_thousand_units_of_work_in_a_batch_take_hardly_more_than_one() {
    assert_at_most(per_batch(Connections::KeepAlive, 1024), 107.0);
}
