//! The baseline on bare sockets: three processes that send the captured bytes of DockerCoins
//! without an HTTP library.

use std::{
    fs::File,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    baseline::{IoModel, Messages, Workload},
    epoll, threads,
};

/// One process of the baseline.
#[derive(Args)]
pub(crate) struct Settings {
    io: IoModel,
    /// JSON file with the captured messages.
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
        /// Concurrent loops.
        loops: usize,
        /// How long the loops mine.
        seconds: u64,
    },
}

/// Runs one process of the baseline: a service until it is killed, or a worker for its duration.
pub(crate) fn run(settings: Settings) -> Result<()> {
    let messages: Messages = serde_json::from_reader(File::open(settings.messages)?)?;
    let exchange = match settings.role {
        Role::Rng => messages.rng,
        Role::Hasher => messages.hasher,
        Role::Worker { rng, hasher, loops, seconds } => {
            let exchanges = [(rng, messages.rng), (hasher, messages.hasher)];
            let workload = Workload { exchanges, loops, duration: Duration::from_secs(seconds) };
            return match settings.io {
                IoModel::Threads => threads::mine(&workload)?.print(),
                IoModel::Epoll => epoll::mine(&workload)?.print(),
            };
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "listening on {} (LISTEN)", listener.local_addr()?)?;
    match settings.io {
        IoModel::Threads => threads::serve(&listener, &exchange),
        IoModel::Epoll => epoll::serve(listener, &exchange),
    }
}
