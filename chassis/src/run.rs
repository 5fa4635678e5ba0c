//! The start and the end of a process.

use std::{io, num::NonZero, process, thread};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::{
    parse::{SettingError, parse},
    trace,
};

/// Reads the settings from the command line and the environment, where an empty value counts as
/// unset, runs a program with them on this number of threads, by default one for each core, and
/// ends the process. Prints help and version itself; an invalid value ends it as [`exit`]
/// documents.
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
fn runtime(threads: Option<NonZero<u16>>) -> io::Result<Runtime> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.map_or_else(cores, |threads| threads.get().into());
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build()
}

/// Ends the process with 0, with 2 for an invalid setting, or with 1 for any other error, which it
/// prints on one line. Does not wait for threads: one that resolves a name may block for long.
pub fn exit(result: anyhow::Result<()>) -> ! {
    let Err(error) = result else {
        process::exit(0);
    };
    eprintln!("error: {error:#}");
    process::exit(if error.is::<SettingError>() { 2 } else { 1 })
}
