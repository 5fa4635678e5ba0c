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
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{epoll, threads};

/// One process of the yardstick.
#[derive(Args)]
pub(crate) struct Settings {
    role: Role,
    style: Style,
    /// File with the messages.
    messages: PathBuf,
    #[arg(long, default_value = "0")]
    loops: usize,
    #[arg(long, default_value = "0")]
    seconds: u64,
    #[arg(long)]
    rng: Option<SocketAddr>,
    #[arg(long)]
    hasher: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Rng,
    Hasher,
    Worker,
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
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let messages: Messages = serde_json::from_reader(File::open(&settings.messages)?)?;
    let exchange = match settings.role {
        Role::Rng => messages.rng,
        Role::Hasher => messages.hasher,
        Role::Worker => {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let peers = [settings.rng.unwrap_or(any), settings.hasher.unwrap_or(any)];
            let exchanges = [messages.rng, messages.hasher];
            let length = Duration::from_secs(settings.seconds);
            let mine = match settings.style {
                Style::Threads => threads::mine,
                Style::Epoll => epoll::mine,
            };
            return mine(&exchanges, peers, settings.loops, length)?.print();
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "listening on {} (LISTEN)", listener.local_addr()?)?;
    match settings.style {
        Style::Threads => threads::serve(&listener, &exchange),
        Style::Epoll => epoll::serve(listener, &exchange),
    }
}
