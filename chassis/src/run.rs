//! The start and the end of a process.

use std::{
    io::{self, Write},
    num::NonZero,
    process, thread,
    time::Duration,
};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::{
    parse::{SettingError, one_line, parse},
    threads::ensure_threads,
    trace,
};

/// Maximum number of threads that read files and resolve names. Once started, they stay until the
/// process ends.
const MAX_BLOCKING_THREADS: usize = 16;

/// Reads the settings from the command line and the environment, as [`parse`] does, runs a program
/// with them on this number of threads, by default one for each core, and ends the process. Prints
/// help and version itself; an invalid value ends it as [`exit`] documents.
pub fn run<S: Parser, F: Future<Output = anyhow::Result<()>>>(
    threads: impl FnOnce(&S) -> Option<NonZero<u16>>,
    program: impl FnOnce(S) -> F,
) -> ! {
    let settings = parse(S::command(), std::env::args_os()).map_err(anyhow::Error::from);
    match settings.and_then(|settings| Ok((runtime(threads(&settings))?, settings))) {
        Err(error) => exit(Err(error)),
        Ok((runtime, settings)) => runtime.block_on(async {
            let result = program(settings).await;
            trace::finish().await;
            exit(result)
        }),
    }
}

/// A runtime of one thread has no other threads to wake, which saves up to a third of its CPU time.
fn runtime(threads: Option<NonZero<u16>>) -> anyhow::Result<Runtime> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.map_or_else(cores, |threads| threads.get().into());
    let (mut builder, worker_threads) = match threads {
        1 => (Builder::new_current_thread(), 0),
        _ => (Builder::new_multi_thread(), threads),
    };
    // One more: the blocking thread, which reads files and resolves names.
    let count = worker_threads + 1;
    ensure_threads(count).map_err(|error| {
        let fewer = if worker_threads > 0 { " or set THREADS=1" } else { "" };
        SettingError::new(format!(
            "THREADS: cannot start {count} threads: {error}; raise the limit of processes{fewer}"
        ))
    })?;
    // The blocking thread starts now and stays: tokio panics if it cannot start its first one later.
    builder.worker_threads(threads).max_blocking_threads(MAX_BLOCKING_THREADS);
    builder.thread_keep_alive(Duration::MAX).enable_all();
    let runtime = builder.build()?;
    runtime.block_on(runtime.spawn_blocking(|| ()))?;
    Ok(runtime)
}

/// Ends the process with 0, with 2 for an invalid setting, or with 1 for any other error, which it
/// prints on one line of stderr if possible. Does not wait for threads: one that resolves a name
/// may block for long.
pub fn exit(result: anyhow::Result<()>) -> ! {
    let Err(error) = result else {
        process::exit(0);
    };
    let _ = writeln!(io::stderr(), "error: {}", one_line(&format!("{error:#}")));
    process::exit(if error.is::<SettingError>() { 2 } else { 1 })
}
