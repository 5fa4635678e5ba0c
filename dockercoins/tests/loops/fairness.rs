//! All loops of a worker make similar progress.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use tokio::{runtime::Builder, task, time::sleep};
use worker::Settings;

use crate::{Counted, Delays, MODES, Requests};

const LOOPS: u16 = 16;

#[test]
fn all_loops_make_similar_progress() {
    for connections in MODES {
        for threads in [1, 2] {
            let runtime =
                Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
            let shutdown = Shutdown::new(Duration::from_secs(1));
            let (delay, concurrency) = (Duration::ZERO, NonZero::new(LOOPS).unwrap());
            let settings = Settings { delay, concurrency, connections, ..chassis::defaults() };
            let requests = Requests::default();
            runtime.block_on(async {
                let count = |client| Counted(client, requests.clone());
                let worker = crate::worker(settings, Delays::default(), &shutdown, count);
                task::spawn(worker.clone().run(shutdown.stop.clone(), Duration::from_secs(1)));
                while worker.totals().hashes < u64::from(LOOPS) * 200 {
                    sleep(Duration::from_millis(10)).await;
                }
            });
            let requests: Vec<u64> = requests.lock().unwrap().values().copied().collect();
            println!("{connections:?}, {threads} threads: {requests:?}");
            assert_eq!(requests.len(), usize::from(LOOPS));
            let (minimum, maximum) =
                (requests.iter().min().unwrap(), requests.iter().max().unwrap());
            assert!(
                *minimum * 3 > *maximum * 2,
                "{connections:?}, {threads} threads: {requests:?}"
            );
        }
    }
}
