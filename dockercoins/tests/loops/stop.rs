//! A worker ends soon after its stop, whatever its loops are doing.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use testkit::TIMEOUT;
use tokio::{
    runtime::{Builder, Handle},
    time::{sleep, timeout},
};
use worker::{ConnectionMode, Settings};

use crate::{Counted, Delays, MODES, Requests};

const LOOPS: u16 = 64;

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn many_loops_that_pause_or_wait_for_a_response_end_together() {
    let (none, never) = (Delays::default(), Delays { rng: NEVER, hasher: NEVER });
    let only_hasher = Delays { rng: Duration::ZERO, ..never };
    for connections in MODES {
        assert_ends_soon(connections, NEVER, none, 0);
        assert_ends_soon(connections, Duration::ZERO, never, 1);
        assert_ends_soon(connections, Duration::ZERO, only_hasher, 2);
    }
}

/// Stops a worker when each loop has sent `sent` requests, and waits for its end.
fn assert_ends_soon(connections: ConnectionMode, delay: Duration, delays: Delays, sent: u64) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let concurrency = NonZero::new(LOOPS).unwrap();
    let settings = Settings { delay, concurrency, connections, ..chassis::defaults() };
    let (services, stop) = (Shutdown::new(Duration::from_secs(1)), Shutdown::new(NEVER).stop);
    let requests = Requests::default();
    runtime.block_on(async {
        let count = |client| Counted(client, requests.clone());
        let worker = crate::worker(settings, delays, &services, count);
        let tasks = Handle::current().metrics();
        let others = tasks.num_alive_tasks();
        let running = tokio::spawn(worker.run(stop.clone(), Duration::from_secs(1)));
        let wait = async {
            // A loop without a request is visible only as a task in addition to the worker's own.
            while tasks.num_alive_tasks() <= others + usize::from(LOOPS)
                || requests.lock().unwrap().values().sum::<u64>() < sent * u64::from(LOOPS)
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, wait).await.expect("all loops wait");
        // In this time a loop that does not wait would send one more request.
        sleep(Duration::from_millis(50)).await;
        let requests = requests.lock().unwrap().clone();
        assert!(requests.values().all(|&by_loop| by_loop == sent), "{connections:?}: {requests:?}");
        stop.cancel();
        let ended = timeout(Duration::from_secs(2), running).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "{connections:?}, {delay:?}, {delays:?}");
    });
}
