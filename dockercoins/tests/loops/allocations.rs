//! The allocations of a unit of work in worker, rng and hasher together, so that no change
//! increases them unnoticed.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use tokio::{runtime::Builder, task::yield_now};
use worker::{ConnectionMode, Settings};

use crate::Delays;

/// Units of work before the measurement, in which connections are opened and buffers grow.
const WARM_UP: u64 = 500;

/// Units of work in the measurement.
const MEASURED: u64 = 2000;

/// Allocations per batch, with everything on one thread.
fn per_batch(connections: ConnectionMode, batch: u16) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::new(Duration::from_secs(1));
    let worker = {
        let _entered = runtime.enter();
        let (delay, batch) = (Duration::ZERO, NonZero::new(batch).unwrap());
        let settings = Settings { delay, batch, connections, ..chassis::defaults() };
        crate::worker(settings, Delays::default(), &shutdown, |client| client)
    };
    let mine_until = |units: u64| {
        runtime.block_on(async {
            while worker.totals().hashes < units * u64::from(batch) {
                yield_now().await;
            }
        });
    };
    runtime.spawn(worker.clone().run(shutdown.stop.clone(), Duration::from_secs(1)));
    mine_until(WARM_UP);
    let counted = allocation_counter::measure(|| mine_until(WARM_UP + MEASURED));
    counted.count_total as f64 / MEASURED as f64
}

#[track_caller]
fn assert_at_most(allocations: f64, limit: f64) {
    println!("{allocations:.1} allocations");
    assert!(allocations <= limit, "{allocations:.1} allocations, not {limit}");
    // A limit that is far too high would hide an increase.
    assert!(allocations > 0.8 * limit, "{allocations:.1} allocations: lower the limit of {limit}");
}

#[test]
fn a_unit_of_work_with_connections_per_request() {
    assert_at_most(per_batch(ConnectionMode::PerRequest, 1), 270.0);
}

#[test]
fn a_unit_of_work_with_keep_alive() {
    assert_at_most(per_batch(ConnectionMode::KeepAlive, 1), 110.0);
}

#[test]
fn a_unit_of_work_over_http2() {
    // The server counts the data of each response as in flight until the client has read it.
    assert_at_most(per_batch(ConnectionMode::Http2, 1), 114.0);
}

#[test]
fn a_batch_of_a_thousand_units_of_work_allocates_hardly_more_than_one() {
    assert_at_most(per_batch(ConnectionMode::KeepAlive, 1024), 107.0);
}
