//! The memory of rng, hasher and a worker with ten thousand connections that stay open, beside a bare
//! axum handler.

use std::{fmt::Write, thread, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Client, PATIENCE, Process};

use crate::{
    Settings,
    figures::{median, number, range},
    process::{self, usage},
    turns::{self, Row},
};

/// Connections at once.
const CONNECTIONS: usize = 10_000;

/// What each connection of a service asks once.
const GET: &str = "GET /32 HTTP/1.1\r\nHost: rng\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 32\r\n\r\n\
    0123456789abcdef0123456789abcdef";

/// What is measured.
#[derive(Clone, Copy)]
enum Kind {
    /// A service, and what it is asked.
    Service(&'static str, &'static str),
    /// The yardstick: a bare axum handler.
    Axum,
    /// A worker, whose loops have a connection to rng and one to hasher each.
    Worker,
}

/// What a process has reached in one turn.
struct Outcome {
    connections: usize,
    /// The most memory at once, in bytes.
    memory: u64,
}

/// Measures the rows that are asked for, and writes the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let row = |name: &str, kind| Row { name: name.to_owned(), kind };
    let rows = vec![
        row("rng", Kind::Service("rng", GET)),
        row("hasher", Kind::Service("hasher", POST)),
        row("worker", Kind::Worker),
        row("axum", Kind::Axum),
    ];
    let rows = turns::chosen(settings, "connections", rows);
    if rows.is_empty() {
        return Ok(());
    }
    let length = Duration::from_secs(settings.seconds);
    let results = turns::take(settings, rows, |kind| match *kind {
        Kind::Service(name, request) => {
            let settings = [("DELAY", "0s"), ("RUST_LOG", "info,access=off")];
            service(&process::program(name, &settings)?, request)
        }
        Kind::Axum => {
            service(&Process::start(process::this()?, &["handler", "/32", "32"], &[]), GET)
        }
        Kind::Worker => worker(length),
    })?;
    turns::write(settings, "connections.md", &markdown(&results))
}

/// A service that all clients ask once, one after the other.
fn service(service: &Process, request: &str) -> Result<Outcome> {
    let peer = service.address("LISTEN");
    process::settle();
    let others = process::sockets(service.id())?;
    let clients = (0..CONNECTIONS).map(|_| Client::try_connect(peer));
    let mut clients: Vec<_> = clients.collect::<Result<_, _>>()?;
    for client in &mut clients {
        client.try_send(request)?;
        let status = client.try_answer()?.status;
        ensure!(status == 200, "status {status}");
    }
    let connections = process::sockets(service.id())? - others;
    Ok(Outcome { connections, memory: usage(service.id())?.memory })
}

/// A worker that mines.
fn worker(length: Duration) -> Result<Outcome> {
    let redis = process::redis()?;
    // With these delays all loops ask rng at once, and then hasher.
    let (loops, all) = ((CONNECTIONS / 2).to_string(), [("RUST_LOG", "info,access=off")]);
    let delays = [("DELAY", "1s"), ("LANES", &*loops)];
    let rng = process::program("rng", &[&all[..], &delays].concat())?;
    let hasher = process::program("hasher", &[&all[..], &delays[..1]].concat())?;
    let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
    let settings = [
        ("RNG_URL", &*url(&rng)),
        ("HASHER_URL", &url(&hasher)),
        ("REDIS_URL", &redis.url()),
        ("CONNECTIONS", "keep-alive"),
        ("CONCURRENCY", &loops),
        ("DELAY", "0s"),
        ("RUST_LOG", "warn"),
    ];
    process::settle();
    let sockets =
        || -> Result<usize> { Ok(process::sockets(rng.id())? + process::sockets(hasher.id())?) };
    let others = sockets()?;
    let worker = process::program("worker", &settings)?;
    let all_there = || sockets().is_ok_and(|sockets| sockets >= others + CONNECTIONS);
    testkit::eventually(PATIENCE, "a connection to each service for each loop", all_there);
    thread::sleep(length);
    Ok(Outcome { connections: sockets()? - others, memory: usage(worker.id())?.memory })
}

fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let mut table = String::from("| program | connections | memory, MB |\n| --- | ---: | ---: |\n");
    for (row, outcomes) in results {
        let connections = number(median(outcomes, |outcome| outcome.connections as f64));
        let memory = range(outcomes, |outcome| outcome.memory as f64 / 1e6);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} | {connections} | {memory} |", row.name);
    }
    table
}
