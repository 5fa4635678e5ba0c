//! The settings of the worker.

use std::{num::NonZero, time::Duration};

use clap::ValueEnum;

use crate::url::BaseUrl;

/// How the worker uses connections to rng and hasher.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum ConnectionMode {
    /// A new connection for each request, to a random address behind the name.
    PerRequest,
    /// Connections are kept and used again.
    KeepAlive,
    /// All requests to a service share one HTTP/2 connection, which the original does not support.
    Http2,
}

/// The settings of the worker.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// URL of rng.
    #[arg(long, env, default_value = "http://rng/")]
    pub rng_url: BaseUrl,
    /// URL of hasher.
    #[arg(long, env, default_value = "http://hasher/")]
    pub hasher_url: BaseUrl,
    /// Pause before each unit of work.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::parse_duration)]
    pub delay: Duration,
    /// Loops that mine in parallel.
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub concurrency: NonZero<u16>,
    /// Time between two flushes to redis.
    #[arg(long, env, default_value = "1s", value_parser = chassis::parse_duration)]
    pub interval: Duration,
    /// Time between an error and the next attempt.
    #[arg(long, env, default_value = "10s", value_parser = chassis::parse_duration)]
    pub retry: Duration,
    /// How long a response of rng or hasher may take, of which connecting may take 2s.
    #[arg(long, env, default_value = "60s", value_parser = chassis::parse_duration)]
    pub timeout: Duration,
    /// How the worker uses connections to rng and hasher.
    #[arg(long, env, default_value = "per-request")]
    pub connections: ConnectionMode,
    /// Units of work in one request to rng and one to hasher; the original services support only 1.
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub batch: NonZero<u16>,
    /// Prefix of the hash of a coin, in lowercase hex.
    #[arg(long, env, default_value = "0", value_parser = parse_prefix)]
    pub coin_prefix: String,
}

fn parse_prefix(value: &str) -> Result<String, String> {
    let is_hex = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match is_hex && (1..=64).contains(&value.len()) {
        true => Ok(value.to_owned()),
        false => Err(chassis::invalid_value(value, "lowercase hex", "0 or 0000")),
    }
}
