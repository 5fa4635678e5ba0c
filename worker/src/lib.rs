//! worker mines: random bytes from rng, their hash from hasher, and whatever starts with a zero is
//! a coin.
//!
//! In reading order: [`Worker`] is the loop, [`Peers`] how it reaches the services, over [`Http`] in
//! life, [`Insight`] what it knows of itself, and [`load`] the same worker as an instrument.

mod connect;
mod http;
mod http1;
mod insight;
mod kept;
mod ledger;
pub mod load;
mod metrics;
mod mine;
mod peers;

use std::{num::NonZero, time::Duration};

use clap::ValueEnum;

pub use crate::{
    connect::Resolver,
    http::Http,
    insight::{Insight, Watch},
    metrics::Metrics,
    mine::Worker,
    peers::{BaseUrl, Peers, Unanswered},
};

/// How connections to rng and hasher are used.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Connections {
    /// A new connection for each request, to a random one of the addresses behind the name.
    PerRequest,
    /// Connections are kept and used again.
    KeepAlive,
    /// All requests to a peer share one connection of HTTP/2, which the original does not speak.
    Http2,
}

/// What the worker can be told.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Where rng is.
    #[arg(long, env, default_value = "http://rng/")]
    pub rng_url: BaseUrl,
    /// Where hasher is.
    #[arg(long, env, default_value = "http://hasher/")]
    pub hasher_url: BaseUrl,
    /// Pause before each unit of work.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::parse_duration)]
    pub delay: Duration,
    /// Loops that mine side by side.
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub concurrency: NonZero<u16>,
    /// Time between two reports to redis.
    #[arg(long, env, default_value = "1s", value_parser = chassis::parse_duration)]
    pub interval: Duration,
    /// Time between an error and the next try.
    #[arg(long, env, default_value = "10s", value_parser = chassis::parse_duration)]
    pub retry: Duration,
    /// How long an answer of rng or hasher may take; connecting may take 2s of it.
    #[arg(long, env, default_value = "60s", value_parser = chassis::parse_duration)]
    pub timeout: Duration,
    /// How connections to rng and hasher are used.
    #[arg(long, env, default_value = "per-request")]
    pub connections: Connections,
    /// Units of work that one request to rng and one to hasher make together; the original services
    /// know only 1.
    #[arg(long, env, default_value = "1", value_parser = chassis::parse_count)]
    pub batch: NonZero<u16>,
    /// What the hash of a coin starts with, in lowercase hex.
    #[arg(long, env, default_value = "0", value_parser = parse_prefix)]
    pub coin_prefix: String,
}

fn parse_prefix(value: &str) -> Result<String, String> {
    let hex = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match hex && (1..=64).contains(&value.len()) {
        true => Ok(value.to_owned()),
        false => Err(chassis::wrong(value, "lowercase hex", "0 or 0000")),
    }
}
