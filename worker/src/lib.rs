//! The worker mines: it gets random bytes from rng and their hash from hasher, and a hash that
//! starts with a zero makes the bytes a coin.
//!
//! In reading order: [`Worker`] is the loop, `services` the requests to rng and hasher, [`Client`]
//! how they travel, `ledger` the work that the store has not acknowledged, and [`Stats`] what the
//! worker publishes about itself.

mod client;
mod cpu;
mod ledger;
mod metrics;
mod mine;
mod services;
mod settings;
mod stats;
mod transport;
mod unit;
mod url;

pub use crate::{
    client::{Client, Resolver},
    ledger::{Totals, Unflushed},
    metrics::{Metrics, STORE_ERROR},
    mine::Worker,
    settings::{ConnectionMode, Settings},
    stats::Stats,
    transport::{ErrorKind, Peer, RequestError, Transport},
    unit::{Timing, Unit},
    url::BaseUrl,
};
