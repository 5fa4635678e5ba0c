//! The rows of the ladder, and what a run of a row measures.

use std::thread;

use crate::{baseline::IoModel, rounds::Row};

/// The row that the CPU time of all rows is compared with.
pub(crate) const BARE_SOCKETS: &str = "bare sockets, 64 loops, threads";

/// The row that the latency of all rows is compared with.
pub(crate) const ONE_LOOP: &str = "bare sockets, 1 loop";

/// The row that the speed of all rows is compared with.
pub(crate) const NO_NETWORK: &str = "no network, all cores";

/// The program or baseline that a row measures.
pub(crate) enum Kind {
    /// The programs of DockerCoins. `THREADS` applies to rng and hasher, too.
    DockerCoins {
        /// Whether rng, hasher and worker keep their simulated delays.
        delays: bool,
        workers: usize,
        /// The settings of each worker.
        settings: &'static [(&'static str, &'static str)],
    },
    BareSockets {
        io: IoModel,
        loops: usize,
    },
    NoNetwork {
        threads: usize,
    },
}

/// The result of one run of a row.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) hashes_per_second: f64,
    /// CPU time of all processes without their start, in microseconds.
    pub(crate) cpu_per_hash: f64,
    /// Median time of a unit of work, in microseconds. With several workers, the median of theirs.
    pub(crate) p50: Option<f64>,
    /// Peak memory of the largest worker, and of rng, hasher and redis if they run, in bytes.
    pub(crate) memory: Vec<u64>,
}

/// All rows, from the default settings to the limit of the machine.
pub(crate) fn rows() -> Vec<Row<Kind>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let row = |name: &str, kind| Row { name: name.to_owned(), kind };
    let shipped = |workers| Kind::DockerCoins { delays: true, workers, settings: &[] };
    let one_worker = |settings| Kind::DockerCoins { delays: false, workers: 1, settings };
    let ten_workers = |settings| Kind::DockerCoins { delays: false, workers: 10, settings };
    let bare = |io, loops| Kind::BareSockets { io, loops };
    const KEEP_ALIVE: (&str, &str) = ("CONNECTIONS", "keep-alive");
    const HTTP2: (&str, &str) = ("CONNECTIONS", "http2");
    const ONE_THREAD: (&str, &str) = ("THREADS", "1");
    const LOOPS_4: (&str, &str) = ("CONCURRENCY", "4");
    const LOOPS_8: (&str, &str) = ("CONCURRENCY", "8");
    const LOOPS_64: (&str, &str) = ("CONCURRENCY", "64");
    const LOOPS_256: (&str, &str) = ("CONCURRENCY", "256");
    vec![
        row("as shipped, 1 worker", shipped(1)),
        row("as shipped, 10 workers", shipped(10)),
        row("delay 0", one_worker(&[])),
        row("keep-alive, 1 loop", one_worker(&[KEEP_ALIVE])),
        row("keep-alive, 1 loop, 1 thread", one_worker(&[KEEP_ALIVE, ONE_THREAD])),
        row(ONE_LOOP, bare(IoModel::Threads, 1)),
        row("keep-alive, 10 workers of 1 loop", ten_workers(&[KEEP_ALIVE])),
        row("keep-alive, 64 loops", one_worker(&[KEEP_ALIVE, LOOPS_64])),
        row("keep-alive, 64 loops, 1 thread", one_worker(&[KEEP_ALIVE, LOOPS_64, ONE_THREAD])),
        row(BARE_SOCKETS, bare(IoModel::Threads, 64)),
        row("bare sockets, 64 loops, epoll", bare(IoModel::Epoll, 64)),
        row("HTTP/2, 256 loops, 1 thread", one_worker(&[HTTP2, LOOPS_256, ONE_THREAD])),
        row("bulk, batches of 32", one_worker(&[KEEP_ALIVE, LOOPS_8, ("BATCH", "32"), ONE_THREAD])),
        row(
            "bulk, batches of 1024",
            one_worker(&[KEEP_ALIVE, LOOPS_4, ("BATCH", "1024"), ONE_THREAD]),
        ),
        row(
            "bulk, batches of 4096",
            one_worker(&[KEEP_ALIVE, LOOPS_4, ("BATCH", "4096"), ONE_THREAD]),
        ),
        row("no network, 1 core", Kind::NoNetwork { threads: 1 }),
        row(NO_NETWORK, Kind::NoNetwork { threads: cores }),
    ]
}
