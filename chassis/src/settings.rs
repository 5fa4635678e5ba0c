//! Settings: one clap field each, from a flag or the environment, with one-line errors.

use std::{error::Error, fmt, net::SocketAddr, process, time::Duration};

pub use bytesize::ByteSize;
use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::LogFormat;

/// What every process understands.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Log every step of the work when it starts with y; anything else is off.
    #[arg(long, env, default_value = "")]
    pub debug: String,
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
}

/// What every service understands.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Service {
    /// Address of the admin endpoints /healthz, /readyz and /version.
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
/// unset. Prints help and version itself; a wrong value is a [`SettingError`].
pub fn load<S: Parser>() -> Result<S, SettingError> {
    parse(S::command(), std::env::args_os())
}

fn parse<S: Parser>(
    command: clap::Command,
    args: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<S, SettingError> {
    let command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        let unset = value.is_some_and(|value| value.is_empty());
        if unset { arg.env(None) } else { arg }
    });
    let secret: Vec<String> = command
        .get_arguments()
        .filter(|arg| arg.is_hide_env_values_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|mut matches| S::from_arg_matches_mut(&mut matches));
    parsed.map_err(|mut error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        // Only the value: the hint beside it shows where a password goes.
        ErrorKind::ValueValidation => {
            hide_password(&mut error, &secret);
            SettingError(one_line(&error.to_string()))
        }
        _ => SettingError(without_password(&one_line(&error.to_string()))),
    })
}

/// Settings as they are when nobody sets anything, whatever the environment holds.
pub fn defaults<S: Args>() -> S {
    let command = S::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["defaults"]);
    let settings = matches.and_then(|matches| S::from_arg_matches(&matches));
    settings.unwrap_or_else(|error| error.exit())
}

/// Hides the value of a setting whose values are hidden in help, since it may be a password where
/// no URL would have one, and in any other value what looks like one.
fn hide_password(error: &mut clap::Error, secret: &[String]) {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let flag = argument.split(' ').next().unwrap_or_default();
    let value = match secret.iter().any(|secret| secret == flag) {
        true => "***".to_owned(),
        false => without_password(&text(ContextKind::InvalidValue)),
    };
    error.insert(ContextKind::InvalidValue, ContextValue::String(value));
}

/// The text without the password of a URL in it.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(end)) if start + 3 < end => {
            format!("{}://***{}", &text[..start], &text[end..])
        }
        _ => text.to_owned(),
    }
}

/// The first paragraph of clap's message.
fn one_line(message: &str) -> String {
    let paragraph = message
        .split("\n\nUsage:")
        .next()
        .and_then(|text| text.split("\n\nFor more information").next())
        .unwrap_or(message);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
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

/// Parses a length of time.
pub fn parse_duration(value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .map_err(|error| format!("{error}; right would be 100ms, 2s or 1m30s"))
}

/// Parses a number of bytes.
pub fn parse_size(value: &str) -> Result<ByteSize, String> {
    value.parse().map_err(|_| "not a size; right would be 500, 64KiB or 100MiB".to_owned())
}

fn parse_switch(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "on" | "yes" | "true" | "y" | "1" => Ok(true),
        "off" | "no" | "false" | "n" | "0" => Ok(false),
        _ => Err("neither on nor off; right would be on".to_owned()),
    }
}

fn parse_address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        "not an address and port; right would be [::]:8080 or 127.0.0.1:8080".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Parser)]
    struct Example {
        #[command(flatten)]
        shared: Settings,
        #[arg(long, default_value = "none")]
        url: String,
        #[arg(long, default_value = "0", value_parser = |_: &str| Err::<u8, _>("no"))]
        never: u8,
    }

    fn error(args: &[&str]) -> String {
        let args = ["example"].iter().chain(args).map(Into::into);
        match parse::<Example>(Example::command(), args) {
            Ok(_) => panic!("{args:?} should be refused", args = "these settings"),
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
        assert!(message.contains("'soon' for '--shutdown-delay <SHUTDOWN_DELAY>'"), "{message}");
        assert!(message.contains("right would be 100ms"), "{message}");
        assert!(!message.contains('\n'), "{message}");

        let message = error(&["--log-format", "xml"]);
        assert!(message.contains("<LOG_FORMAT>") && message.contains("text, json"), "{message}");
    }

    #[test]
    fn an_error_never_shows_a_password() {
        let message = error(&["--never", "redis://:se@cret@redis"]);
        assert!(message.contains("redis://***@redis"), "{message}");
        assert!(!message.contains("cret"), "{message}");
    }
}
