//! What surrounds the process that measures: however that one ends, nothing that it has started or
//! written to a temporary folder stays.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::Result;
use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, waitpgid,
    },
};
use tokio::{
    runtime::Runtime,
    select,
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

/// Starts this program again to measure, with the same arguments, in a process group and with a
/// temporary folder of its own; ends as it ends, or on SIGINT or SIGTERM.
pub(crate) fn run() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).arg("measure");
    command.env("TMPDIR", folder.path()).process_group(0);
    // Whoever is left of the group when the process ends is waited for here.
    set_child_subreaper(Some(getpid()))?;
    let code = Runtime::new()?.block_on(async {
        // Registered before anything is started, so that no early signal is missed.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        let code = select! {
            ended = spawn_blocking(move || child.wait()) => ended??.code(),
            _ = interrupt.recv() => Some(128 + Signal::INT.as_raw()),
            _ = terminate.recv() => Some(128 + Signal::TERM.as_raw()),
        };
        match kill_process_group(group, Signal::KILL) {
            // Nobody is left.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        while waitpgid(group, WaitOptions::empty()).is_ok() {}
        anyhow::Ok(code)
    })?;
    folder.close()?;
    // A panic has no code.
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
