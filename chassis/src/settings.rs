//! The settings that services share: one clap field each, from a flag or the environment.

use std::{ffi::OsString, net::SocketAddr, num::NonZero, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use crate::parse::{parse_address, parse_count, parse_duration, parse_switch};

/// Settings of every process.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Log every step of the work when it starts with y; anything else is off.
    #[arg(long, env, default_value = "")]
    pub debug: OsString,
    /// Filter of the log lines in the syntax of the crate tracing-subscriber, such as
    /// `info,access=off`.
    #[arg(long, env, default_value = "info")]
    pub rust_log: String,
    /// Format of the log lines.
    #[arg(long, env, default_value = "text")]
    pub log_format: LogFormat,
    /// How long accepted requests may take after the service stops accepting.
    #[arg(long, env, default_value = "8s", value_parser = parse_duration)]
    pub shutdown_timeout: Duration,
    /// How long the service, no longer ready, still accepts connections after a signal.
    #[arg(long, env, default_value = "0s", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// Ignore SIGTERM as the original does, so that a container is killed after its grace period.
    #[arg(long, env, default_value = "off", value_parser = parse_switch,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "on")]
    pub ignore_sigterm: bool,
    /// Worker threads of the runtime; by default one for each core, but one for a worker or load
    /// with one loop. One is cheapest if several programs share the cores. Besides, 1 to 16 threads
    /// read files and resolve names.
    #[arg(long, env, value_parser = parse_count)]
    pub threads: Option<NonZero<u16>>,
    /// Version that the program reports, such as the tag of its image.
    #[arg(long, env, default_value = crate::VERSION)]
    pub dockercoins_version: String,
}

/// Settings of every service.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Service {
    /// Address of the admin endpoints /healthz, /readyz, /version and /metrics. In a container, set
    /// the variable: the health check does not see the flags of the service.
    #[arg(long, env, default_value = "[::]:9000", value_parser = parse_address)]
    pub admin_listen: SocketAddr,
    /// Settings of every process.
    #[command(flatten)]
    pub shared: Settings,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub action: Option<Action>,
}

impl Settings {
    /// Threads of the runtime: the setting, or one for a health check.
    pub fn threads_for(&self, action: Option<Action>) -> Option<NonZero<u16>> {
        action.map(|_| NonZero::<u16>::MIN).or(self.threads)
    }
}

impl Service {
    /// Threads of the runtime: the setting, or one for a health check.
    pub fn threads(&self) -> Option<NonZero<u16>> {
        self.shared.threads_for(self.action)
    }
}

/// Settings of the application's own port.
#[derive(Args, Clone)]
#[group(skip)]
pub struct Listen {
    /// Address of the service; `[::]` accepts IPv4 as well.
    #[arg(long, env, default_value = "[::]:80", value_parser = parse_address)]
    pub listen: SocketAddr,
    /// Connections that the service accepts at once; further ones wait. Also the maximum number of
    /// HTTP/2 requests in flight over all of them; further ones get status 503.
    #[arg(long, env, default_value = "1024", value_parser = parse_count)]
    pub max_connections: NonZero<u16>,
}

/// What a program can do instead of serving.
#[derive(Clone, Copy, Subcommand)]
pub enum Action {
    /// Check whether the running service is ready: exit code 0 if it is, 1 if not.
    Healthcheck,
}

/// The format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::parse::parse;

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
