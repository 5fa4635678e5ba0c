//! The yardstick on bare sockets: three processes that send the very bytes of ours, prewritten, with
//! no HTTP library.

use std::{
    fs::File,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{epoll, threads};

/// One process of the yardstick.
#[derive(Args)]
pub(crate) struct Settings {
    style: Style,
    /// File with the messages.
    messages: PathBuf,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Rng,
    Hasher,
    Worker {
        rng: SocketAddr,
        hasher: SocketAddr,
        /// Loops side by side.
        loops: usize,
        /// How long they mine.
        seconds: u64,
    },
}

/// How connections are waited for.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Style {
    /// A thread for each connection.
    Threads,
    /// One thread, and the kernel's list of connections that are ready.
    Epoll,
}

/// What is asked, and what is answered.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// The messages of one unit of work.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Messages {
    pub(crate) rng: Exchange,
    pub(crate) hasher: Exchange,
}

/// What a worker of the yardstick has to do.
pub(crate) struct Load {
    /// With rng and with hasher.
    pub(crate) exchanges: [(SocketAddr, Exchange); 2],
    /// Side by side.
    pub(crate) loops: usize,
    /// How long they mine.
    pub(crate) length: Duration,
}

/// What a yardstick has done, for the ladder to read.
#[derive(Deserialize, Serialize)]
pub(crate) struct Done {
    pub(crate) hashes: u64,
    pub(crate) seconds: f64,
    /// Of a unit of work, in seconds.
    pub(crate) p50: Option<f64>,
}

impl Done {
    /// A load that began at a time, with the seconds that each unit of work took.
    pub(crate) fn new(started: Instant, mut units: Vec<f32>) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        units.sort_by(f32::total_cmp);
        let p50 = units.get(units.len() / 2).map(|seconds| f64::from(*seconds));
        Self { hashes: units.len() as u64, seconds, p50 }
    }

    pub(crate) fn print(&self) -> Result<()> {
        Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(self)?)?)
    }
}

/// Runs one process of the yardstick: a service until it is killed, a worker for its time.
pub(crate) fn run(settings: Settings) -> Result<()> {
    let messages: Messages = serde_json::from_reader(File::open(settings.messages)?)?;
    let exchange = match settings.role {
        Role::Rng => messages.rng,
        Role::Hasher => messages.hasher,
        Role::Worker { rng, hasher, loops, seconds } => {
            let exchanges = [(rng, messages.rng), (hasher, messages.hasher)];
            let load = Load { exchanges, loops, length: Duration::from_secs(seconds) };
            return match settings.style {
                Style::Threads => threads::mine(&load)?.print(),
                Style::Epoll => epoll::mine(&load)?.print(),
            };
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "listening on {} (LISTEN)", listener.local_addr()?)?;
    match settings.style {
        Style::Threads => threads::serve(&listener, &exchange),
        Style::Epoll => epoll::serve(listener, &exchange),
    }
}
