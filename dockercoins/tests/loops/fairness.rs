//! No loop of a worker gets ahead of the others.

use std::{num::NonZero, time::Duration};

use chassis::Shutdown;
use tokio::{runtime::Builder, task, time::sleep};
use worker::Settings;

use crate::{Counted, Delays, KINDS, Requests};

const LOOPS: u16 = 16;

#[test]
fn loops_get_as_much_done_as_one_another() {
    for connections in KINDS {
        for threads in [1, 2] {
            let runtime =
                Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
            let shutdown = Shutdown::new(Duration::from_secs(1));
            let (delay, concurrency) = (Duration::ZERO, NonZero::new(LOOPS).unwrap());
            let settings = Settings { delay, concurrency, connections, ..chassis::defaults() };
            let requests = Requests::default();
            runtime.block_on(async {
                let peers = |http| Counted(http, requests.clone());
                let worker = crate::worker(settings, Delays::default(), &shutdown, peers);
                task::spawn(worker.clone().run(shutdown.stop.clone(), Duration::from_secs(1)));
                while worker.total().0 < u64::from(LOOPS) * 200 {
                    sleep(Duration::from_millis(10)).await;
                }
            });
            let requests: Vec<u64> = requests.lock().unwrap().values().copied().collect();
            println!("{connections:?}, {threads} threads: {requests:?}");
            assert_eq!(requests.len(), usize::from(LOOPS));
            let (least, most) = (requests.iter().min().unwrap(), requests.iter().max().unwrap());
            assert!(*least * 3 > *most * 2, "{connections:?}, {threads} threads: {requests:?}");
        }
    }
}
