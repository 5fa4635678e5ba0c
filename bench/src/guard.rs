//! Runs the measurement in a child process, and cleans up after it: however the child ends, no
//! process and no temporary file of the measurement remains.

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

/// Starts this program again with the action `measure`, in its own process group and with its own
/// temporary folder. Returns when the child ends, or on SIGINT or SIGTERM.
pub(crate) fn run() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).arg("measure");
    command.env("TMPDIR", folder.path()).process_group(0);
    // Processes of the group that outlive the child become children of this process.
    set_child_subreaper(Some(getpid()))?;
    let code = Runtime::new()?.block_on(async {
        // Registered before the child starts, so that no early signal is missed.
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
            // The group is empty.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        while waitpgid(group, WaitOptions::empty()).is_ok() {}
        anyhow::Ok(code)
    })?;
    folder.close()?;
    // A child that ended by a signal, such as the abort after a panic, has no exit code.
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
