//! Settings: one clap field each, from a flag or the environment, with one-line errors.

use std::{
    error::Error, ffi::OsString, fmt, io, net::SocketAddr, num::NonZero, process, thread,
    time::Duration,
};

pub use bytesize::ByteSize;
use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};
use tokio::runtime::{Builder, Runtime};

use crate::{LogFormat, trace};

/// Longer than anybody means, and far from what clocks can represent.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What every process understands.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Log every step of the work when it starts with y; anything else is off.
    #[arg(long, env, default_value = "")]
    pub debug: OsString,
    /// Filter of the log lines in the syntax of the crate tracing-subscriber, such as `info,access=off`.
    #[arg(long, env, default_value = "info")]
    pub rust_log: String,
    /// Shape of the log lines.
    #[arg(long, env, default_value = "text")]
    pub log_format: LogFormat,
    /// How long accepted requests may take to finish after the service stops accepting.
    #[arg(long, env, default_value = "8s", value_parser = parse_duration)]
    pub shutdown_timeout: Duration,
    /// How long the service, no longer ready, goes on accepting after a signal.
    #[arg(long, env, default_value = "0s", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// Ignore SIGTERM as the original does, so that a container is killed after its grace period.
    #[arg(long, env, default_value = "off", value_parser = parse_switch,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "on")]
    pub ignore_sigterm: bool,
    /// Whether stdout is for something else than logs, which no user sets.
    #[arg(skip)]
    pub log_to_stderr: bool,
    /// Threads that the work is done on; if unset as many as there are cores, but one for a worker
    /// with one loop. One is cheapest where several programs share the cores.
    #[arg(long, env, value_parser = parse_count)]
    pub threads: Option<NonZero<u16>>,
    /// Version that the program shows, such as the tag of its image.
    #[arg(long, env, default_value = crate::VERSION)]
    pub dockercoins_version: String,
}

/// What every service understands.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Service {
    /// Address of the admin endpoints /healthz, /readyz, /version and /metrics.
    #[arg(long, env, default_value = "[::]:9000", value_parser = parse_address)]
    pub admin_listen: SocketAddr,
    /// What every process understands.
    #[command(flatten)]
    pub shared: Settings,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// Where a service answers the application's own requests.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Listen {
    /// Address of the service; `[::]` takes IPv4 as well.
    #[arg(long, env, default_value = "[::]:80", value_parser = parse_address)]
    pub listen: SocketAddr,
}

/// What a binary can do instead of serving.
#[derive(Clone, Copy, Subcommand)]
pub enum Action {
    /// Ask the running service whether it is ready: exit code 0 if so, 1 if not.
    Healthcheck,
}

/// A setting that cannot be used; the process exits with 2.
#[derive(Debug)]
pub struct SettingError(String);

impl SettingError {
    /// An error that names the setting, what is wrong and what would be right.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SettingError {}

/// Reads the settings from the command line and the environment, where an empty value counts as
/// unset, and runs a program with them to the end of the process, on as many threads as there are
/// cores if none are asked for. Prints help and version itself; a wrong value ends it as [`exit`] says.
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

/// A runtime of one thread has no threads to wake and to steal from, which saves up to a
/// third of its cost.
fn runtime(threads: Option<NonZero<u16>>) -> io::Result<Runtime> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    match threads.map_or_else(cores, |threads| threads.get().into()) {
        1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    }
    .enable_all()
    .build()
}

/// Fails when one of the flags is none of these settings, or has a wrong value.
pub fn check_flags<'a, S: Parser>(
    flags: impl IntoIterator<Item = &'a str>,
) -> Result<(), SettingError> {
    let command = S::command().no_binary_name(true).args_override_self(true);
    let command = command.disable_help_flag(true).disable_version_flag(true);
    parse::<S>(command, flags.into_iter().map(Into::into)).map(drop)
}

/// The settings that [`run`] reads, but for some flags that come after those of the command line.
/// Fails when a value is wrong.
pub fn load_with<'a, S: Parser>(
    flags: impl IntoIterator<Item = &'a str>,
) -> Result<S, SettingError> {
    let args = std::env::args_os().chain(flags.into_iter().map(Into::into));
    parse(S::command().args_override_self(true), args)
}

fn parse<S: Parser>(
    command: clap::Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<S, SettingError> {
    let command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        let unset = value.is_some_and(|value| value.is_empty());
        if unset { arg.env(None) } else { arg }
    });
    let matches = command.try_get_matches_from(args);
    let parsed = matches.and_then(|mut matches| S::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        match (error.kind(), error.get(ContextKind::InvalidArg), error.source()) {
            (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, ..) => error.exit(),
            // The parsers below say what is wrong, and leave out a value that may hold a password.
            (ErrorKind::ValueValidation, Some(setting), Some(wrong)) => {
                SettingError(format!("{setting}: {wrong}"))
            }
            _ => SettingError(first_paragraph(&error.to_string())),
        }
    })
}

/// Settings as they are when nobody sets anything, whatever the environment holds.
pub fn defaults<S: Args>() -> S {
    let command = S::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["defaults"]);
    let settings = matches.and_then(|matches| S::from_arg_matches(&matches));
    settings.unwrap_or_else(|error| error.exit())
}

/// clap's message without its advice, on one line, and without URLs, which may hold a password.
fn first_paragraph(message: &str) -> String {
    let lines = message.lines().take_while(|line| !line.is_empty());
    let words = lines.flat_map(str::split_whitespace);
    let words = words.map(|word| if word.contains("://") { "***" } else { word });
    words.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// Ends the process: with 0, with 2 for a setting, with 1 for anything else, and the error on one
/// line. Waits for no thread, because one that asks a dead name server may block for long.
pub fn exit(result: anyhow::Result<()>) -> ! {
    let Err(error) = result else {
        process::exit(0);
    };
    eprintln!("error: {error:#}");
    process::exit(if error.is::<SettingError>() { 2 } else { 1 })
}

/// Parses a length of time, of a year at most.
pub fn parse_duration(value: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(value).ok();
    duration
        .filter(|&duration| duration <= YEAR)
        .ok_or_else(|| wrong(value, "a length of time", "100ms, 2s or 1m30s"))
}

/// Parses a number of bytes.
pub fn parse_size(value: &str) -> Result<ByteSize, String> {
    value.parse().map_err(|_| wrong(value, "a size", "500, 64KiB or 100MiB"))
}

/// Parses a number of things of which there must be one at least.
pub fn parse_count(value: &str) -> Result<NonZero<u16>, String> {
    value.parse().map_err(|_| wrong(value, "a number from 1 to 65535", "1 or 10"))
}

/// Parses a port, where 0 is any free one.
pub fn parse_port(value: &str) -> Result<u16, String> {
    value.parse().map_err(|_| wrong(value, "a port", "8000, or 0 for any free one"))
}

fn parse_address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| wrong(value, "an address and port", "[::]:8080 or 127.0.0.1:8080"))
}

fn parse_switch(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "on" | "yes" | "true" | "y" | "1" => Ok(true),
        "off" | "no" | "false" | "n" | "0" => Ok(false),
        _ => Err(wrong(value, "on or off", "on")),
    }
}

/// The words for a value that is not what it should be, and what would be.
pub fn wrong(value: &str, what: &str, right: &str) -> String {
    format!("'{value}' is not {what}; right would be {right}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Parser)]
    struct Example {
        #[command(flatten)]
        shared: Settings,
    }

    fn error(args: &[&str]) -> String {
        let args = ["example"].iter().chain(args).map(Into::into);
        match parse::<Example>(Example::command(), args) {
            Ok(_) => panic!("nothing was refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Example::command().debug_assert();
    }

    #[test]
    fn an_error_is_one_line_with_the_setting_and_a_right_value() {
        let message = error(&["--shutdown-delay", "soon"]);
        assert!(
            message.starts_with("--shutdown-delay <SHUTDOWN_DELAY>: 'soon' is not"),
            "{message}"
        );
        assert!(message.contains("right would be 100ms"), "{message}");
        assert!(!message.contains('\n'), "{message}");

        let message = error(&["--log-format", "xml"]);
        assert!(message.contains("<LOG_FORMAT>") && message.contains("text, json"), "{message}");
    }
}
