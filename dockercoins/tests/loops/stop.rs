//! A worker that is told to stop ends soon, wherever its loops are.

use std::{
    num::NonZero,
    time::{Duration, Instant},
};

use chassis::Shutdown;
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};
use worker::{Connections, Settings};

use crate::{Delays, KINDS};

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn many_loops_that_pause_or_wait_for_an_answer_end_together() {
    let (none, never) = (Delays::default(), Delays { rng: NEVER, hasher: NEVER });
    for connections in KINDS {
        ends_soon(connections, NEVER, none);
        ends_soon(connections, Duration::ZERO, never);
        ends_soon(connections, Duration::ZERO, Delays { rng: Duration::ZERO, ..never });
    }
}

fn ends_soon(connections: Connections, delay: Duration, delays: Delays) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let settings = Settings {
        delay,
        connections,
        concurrency: NonZero::new(64).unwrap(),
        ..chassis::defaults()
    };
    let (services, stop) = (Shutdown::new(Duration::from_secs(1)), Shutdown::new(NEVER).stop);
    runtime.block_on(async {
        let worker = crate::worker(settings, delays, &services, |http| http);
        let running = tokio::spawn(worker.run(stop.clone(), Duration::from_secs(1)));
        // Every loop has come as far as it can.
        sleep(Duration::from_millis(500)).await;
        let asked = Instant::now();
        stop.cancel();
        let ended = timeout(Duration::from_secs(10), running).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "{connections:?}: it does not end");
        let took = asked.elapsed();
        println!("{connections:?}, {delay:?}: {took:?}");
        assert!(took < Duration::from_secs(2), "{connections:?}, {delay:?}: {took:?}");
    });
}
