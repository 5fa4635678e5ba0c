//! Checks that the process can start its threads.

use std::{fs, io, sync::Mutex, thread, time::Duration};

/// Fails when the process cannot start this number of threads. Tokio and the exporter of spans
/// would panic instead.
pub(crate) fn ensure_threads(count: usize) -> io::Result<()> {
    let threads = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let (before, gate) = (threads(), Mutex::new(()));
    thread::scope(|scope| {
        // No thread ends before the last one has started.
        let _closed = gate.lock();
        let start = || thread::Builder::new().spawn_scoped(scope, || drop(gate.lock()));
        (0..count).try_for_each(|_| start().map(drop))
    })?;
    // Linux counts a thread for a moment after it has ended; wait until its place is free again.
    for _ in 0..100 {
        if threads() <= before {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
