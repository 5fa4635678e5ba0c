//! The memory of rng, hasher and a worker with ten thousand connections that stay open, or as many
//! requests at once, beside a bare axum handler.

use std::{fmt::Write, thread, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Client, Process};

use crate::{
    Settings,
    figures::{group, median, range},
    process::{self, usage},
    turns::{self, Row},
};

/// Connections, or requests, at once.
const MANY: usize = 10_000;

/// How many files a process may have open at least: its connections, and some more.
pub(crate) const FILES: u64 = MANY as u64 + 200;

/// How long it may take until a worker counts, and then until it has all its connections.
const PATIENCE: Duration = Duration::from_secs(60);

/// What each connection of a service asks once.
const GET: &str = "GET /32 HTTP/1.1\r\nHost: rng\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 32\r\n\r\n\
    0123456789abcdef0123456789abcdef";

/// What is measured.
#[derive(Clone, Copy)]
enum Kind {
    /// A service, what it is asked on each connection, and on how many of them at once.
    Service {
        name: &'static str,
        request: &'static str,
        at_once: usize,
    },
    /// The yardstick: a bare axum handler.
    Axum,
    Worker(Worker),
}

/// A worker that mines.
#[derive(Clone, Copy)]
struct Worker {
    /// Its `CONNECTIONS`.
    kept: &'static str,
    /// Its `CONCURRENCY`.
    loops: usize,
    /// How many connections the loops need.
    connections: usize,
    /// That of rng and hasher: where each loop needs a connection, none has its answer before the
    /// last one has asked.
    delay: &'static str,
}

/// What a process has reached in one turn.
struct Outcome {
    connections: usize,
    /// Requests under way at once.
    requests: usize,
    /// The most memory at once, in bytes.
    memory: u64,
}

fn rows() -> Vec<Row<Kind>> {
    let row = |name: &str, kind| Row { name: name.to_owned(), kind };
    let service = |name, request, at_once| row(name, Kind::Service { name, request, at_once });
    let keep_alive = Worker { kept: "keep-alive", loops: MANY / 2, connections: MANY, delay: "5s" };
    let http2 = Worker { kept: "http2", loops: MANY, connections: 2, delay: "1s" };
    vec![
        service("rng", GET, 1),
        service("hasher", POST, 1),
        row("axum", Kind::Axum),
        service("rng", GET, MANY),
        service("hasher", POST, MANY),
        row("worker, keep-alive", Kind::Worker(keep_alive)),
        row("worker, HTTP/2", Kind::Worker(http2)),
    ]
}

/// Measures all rows, and writes the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let length = settings.length();
    let results = turns::take(settings, rows(), |kind| match *kind {
        Kind::Service { name, request, at_once } => {
            // With this delay the last one asks before the first one has its answer.
            let delay = if at_once == 1 { "0s" } else { "2s" };
            service(&slow(name, delay, at_once)?, request, at_once)
        }
        Kind::Axum => {
            let axum = Process::start(process::this()?, &["handler", "/32", "32"], &[]);
            service(&axum, GET, 1)
        }
        Kind::Worker(worker) => worker.run(length),
    })?;
    turns::write(settings, "connections.md", &markdown(&results))
}

/// rng or hasher with a delay, which so many requests wait for side by side; hasher has no limit.
fn slow(name: &str, delay: &str, lanes: usize) -> Result<Process> {
    let lanes = lanes.to_string();
    let settings = [("DELAY", delay), ("LANES", &lanes), ("RUST_LOG", "info,access=off")];
    process::program(name, &settings)
}

/// A service that all clients ask once, so many at once.
fn service(service: &Process, request: &str, at_once: usize) -> Result<Outcome> {
    let peer = service.address("LISTEN");
    process::settle();
    let others = process::sockets(service.id())?;
    let clients = (0..MANY).map(|_| Client::try_connect(peer));
    let mut clients: Vec<_> = clients.collect::<Result<_, _>>()?;
    for asked in clients.chunks_mut(at_once) {
        asked.iter_mut().try_for_each(|client| client.try_send(request))?;
        for client in asked {
            let status = client.try_answer()?.status;
            ensure!(status == 200, "status {status}");
        }
    }
    let connections = process::sockets(service.id())? - others;
    Ok(Outcome { connections, requests: at_once, memory: usage(service.id())?.memory })
}

impl Worker {
    fn run(self, length: Duration) -> Result<Outcome> {
        let Self { kept, loops, connections: needed, delay } = self;
        let redis = process::redis()?;
        let (rng, hasher) = (slow("rng", delay, loops)?, slow("hasher", delay, loops)?);
        let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
        let settings = [
            ("RNG_URL", &*url(&rng)),
            ("HASHER_URL", &url(&hasher)),
            ("REDIS_URL", &redis.url()),
            ("CONNECTIONS", kept),
            ("CONCURRENCY", &loops.to_string()),
            ("DELAY", "0s"),
            ("RUST_LOG", "warn"),
        ];
        process::settle();
        let sockets = || anyhow::Ok(process::sockets(rng.id())? + process::sockets(hasher.id())?);
        let others = sockets()?;
        let worker = process::program("worker", &settings)?;
        // Thousands of sockets are not counted while they are made, which would slow it down.
        process::retry(PATIENCE, || {
            ensure!(redis.hashes() > 0, "no hash after {PATIENCE:?}");
            Ok(())
        })?;
        let connections = || anyhow::Ok(sockets()?.saturating_sub(others));
        process::retry(PATIENCE, || {
            let there = connections()?;
            ensure!(there >= needed, "{there} of {needed} connections after {PATIENCE:?}");
            Ok(())
        })?;
        thread::sleep(length);
        Ok(Outcome {
            connections: connections()?,
            requests: loops,
            memory: usage(worker.id())?.memory,
        })
    }
}

fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let mut table = String::from(
        "| program | connections | requests at once | memory, MB |\n| --- | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let count =
            |of: fn(&Outcome) -> usize| group(median(outcomes, |outcome| of(outcome) as f64));
        let (connections, requests) =
            (count(|outcome| outcome.connections), count(|outcome| outcome.requests));
        let memory = range(outcomes, |outcome| outcome.memory as f64 / 1e6);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} | {connections} | {requests} | {memory} |", row.name);
    }
    table
}
