//! A worker that is told to stop ends soon, wherever its loops are.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use testkit::PATIENCE;
use tokio::{
    runtime::{Builder, Handle},
    time::{sleep, timeout},
};
use worker::{Connections, Settings};

use crate::{Counted, Delays, KINDS, Requests};

const LOOPS: u16 = 64;

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn many_loops_that_pause_or_wait_for_an_answer_end_together() {
    let (none, never) = (Delays::default(), Delays { rng: NEVER, hasher: NEVER });
    let only_hasher = Delays { rng: Duration::ZERO, ..never };
    for connections in KINDS {
        ends_soon(connections, NEVER, none, 0);
        ends_soon(connections, Duration::ZERO, never, 1);
        ends_soon(connections, Duration::ZERO, only_hasher, 2);
    }
}

/// Stops a worker of which each loop has sent so many requests, and waits.
fn ends_soon(connections: Connections, delay: Duration, delays: Delays, sent: u64) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let concurrency = NonZero::new(LOOPS).unwrap();
    let settings = Settings { delay, concurrency, connections, ..chassis::defaults() };
    let (services, stop) = (Shutdown::new(Duration::from_secs(1)), Shutdown::new(NEVER).stop);
    let requests = Requests::default();
    runtime.block_on(async {
        let peers = |http| Counted(http, requests.clone());
        let worker = crate::worker(settings, delays, &services, peers);
        let tasks = Handle::current().metrics();
        let others = tasks.num_alive_tasks();
        let running = tokio::spawn(worker.run(stop.clone(), Duration::from_secs(1)));
        let wait = async {
            // A loop that has sent nothing shows only as a task beside the worker's own.
            while tasks.num_alive_tasks() <= others + usize::from(LOOPS)
                || requests.lock().unwrap().values().sum::<u64>() < sent * u64::from(LOOPS)
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("all loops wait");
        // Time for one more request of a loop that does not.
        sleep(Duration::from_millis(50)).await;
        let requests = requests.lock().unwrap().clone();
        assert!(requests.values().all(|&by_one| by_one == sent), "{connections:?}: {requests:?}");
        stop.cancel();
        let ended = timeout(Duration::from_secs(2), running).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "{connections:?}, {delay:?}, {delays:?}");
    });
}
