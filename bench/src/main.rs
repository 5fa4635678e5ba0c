//! The program `bench`.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    #[cfg(target_os = "linux")]
    return bench::run();
    #[cfg(not(target_os = "linux"))]
    anyhow::bail!("bench needs Linux, because it reads the CPU time of processes from /proc");
}
