//! The memory of rng, hasher and a worker with ten thousand open connections or concurrent
//! requests, next to a bare axum handler.

use std::{fmt::Write, thread, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Client, Process};

use crate::{
    figures::{median, range, thousands},
    process::{self, usage},
    rounds::{self, Row},
    settings::Settings,
};

/// Connections or concurrent requests.
const CONNECTIONS: usize = 10_000;

/// The limit of open files that each process needs: its connections and a few others.
pub(crate) const FILES: u64 = CONNECTIONS as u64 + 200;

/// How long a worker may take until its first flush, and then until it has opened all its
/// connections.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The request on each connection to a service.
const GET: &str = "GET /32 HTTP/1.1\r\nHost: rng\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 32\r\n\r\n\
    0123456789abcdef0123456789abcdef";

/// The program that a row measures.
#[derive(Clone, Copy)]
enum Kind {
    Service {
        name: &'static str,
        /// The request that is sent once on each connection.
        request: &'static str,
        /// Concurrent requests.
        concurrency: usize,
    },
    /// The baseline: a bare axum handler.
    Axum,
    Worker(Worker),
}

/// A worker that mines.
#[derive(Clone, Copy)]
struct Worker {
    /// The setting `CONNECTIONS`.
    mode: &'static str,
    /// The setting `CONCURRENCY`.
    loops: usize,
    /// Connections that the loops need.
    connections: usize,
    /// The delay of rng and hasher. Where each loop needs its own connections, it is longer than
    /// the time in which all loops send their first request.
    delay: &'static str,
}

/// The result of one run of a row.
struct Outcome {
    connections: usize,
    /// Concurrent requests.
    requests: usize,
    /// Peak memory, in bytes.
    memory: u64,
}

fn rows() -> Vec<Row<Kind>> {
    const ALL: usize = CONNECTIONS;
    let row = |name: &str, kind| Row { name: name.to_owned(), kind };
    let service =
        |name, request, concurrency| row(name, Kind::Service { name, request, concurrency });
    let keep_alive = Worker { mode: "keep-alive", loops: ALL / 2, connections: ALL, delay: "5s" };
    let http2 = Worker { mode: "http2", loops: ALL, connections: 2, delay: "1s" };
    vec![
        service("rng", GET, 1),
        service("hasher", POST, 1),
        row("axum", Kind::Axum),
        service("rng", GET, ALL),
        service("hasher", POST, ALL),
        row("worker, keep-alive", Kind::Worker(keep_alive)),
        row("worker, HTTP/2", Kind::Worker(http2)),
    ]
}

/// Measures all rows, and writes the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let duration = settings.duration();
    let results = rounds::measure(settings.rounds, rows(), |kind| match *kind {
        Kind::Service { name, request, concurrency } => {
            // With a delay of 2 s, the last request is sent before the first response.
            let delay = if concurrency == 1 { "0s" } else { "2s" };
            measure_service(&start_service(name, delay, concurrency)?, request, concurrency)
        }
        Kind::Axum => {
            let axum = Process::start(process::own_path()?, &["handler", "/32", "32"], &[]);
            measure_service(&axum, GET, 1)
        }
        Kind::Worker(worker) => worker.measure(duration),
    })?;
    rounds::write(&settings.output, "connections.md", &markdown(&results))
}

/// Starts rng or hasher for all connections, with a delay. rng gets `lanes` lanes; hasher needs
/// none.
fn start_service(name: &str, delay: &str, lanes: usize) -> Result<Process> {
    let (lanes, connections) = (lanes.to_string(), CONNECTIONS.to_string());
    let settings = [
        ("DELAY", delay),
        ("LANES", &lanes),
        ("MAX_CONNECTIONS", &connections),
        ("RUST_LOG", "info,access=off"),
    ];
    process::program(name, &settings)
}

/// Opens all connections to a service, and sends one request on each, `concurrency` at a time.
fn measure_service(service: &Process, request: &str, concurrency: usize) -> Result<Outcome> {
    let address = service.address("LISTEN");
    process::settle();
    let other_sockets = process::sockets(service.id())?;
    let clients = (0..CONNECTIONS).map(|_| Client::try_connect(address));
    let mut clients: Vec<_> = clients.collect::<Result<_, _>>()?;
    for group in clients.chunks_mut(concurrency) {
        group.iter_mut().try_for_each(|client| client.try_send(request))?;
        for client in group {
            let status = client.try_response()?.status;
            ensure!(status == 200, "status {status}");
        }
    }
    let connections = process::sockets(service.id())? - other_sockets;
    let memory = usage(service.id())?.memory;
    Ok(Outcome { connections, requests: concurrency, memory })
}

impl Worker {
    fn measure(self, duration: Duration) -> Result<Outcome> {
        let Self { mode, loops, connections: needed, delay } = self;
        let redis = process::redis()?;
        let rng = start_service("rng", delay, loops)?;
        let hasher = start_service("hasher", delay, loops)?;
        let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
        let settings = [
            ("RNG_URL", &*url(&rng)),
            ("HASHER_URL", &url(&hasher)),
            ("REDIS_URL", &redis.url()),
            ("CONNECTIONS", mode),
            ("CONCURRENCY", &loops.to_string()),
            ("DELAY", "0s"),
            ("RUST_LOG", "warn"),
        ];
        process::settle();
        let sockets = || anyhow::Ok(process::sockets(rng.id())? + process::sockets(hasher.id())?);
        let other_sockets = sockets()?;
        let worker = process::program("worker", &settings)?;
        // Counting thousands of sockets would slow the worker down while it opens them.
        process::retry(TIMEOUT, || {
            ensure!(redis.hashes() > 0, "no hash within {TIMEOUT:?}");
            Ok(())
        })?;
        let connections = || anyhow::Ok(sockets()?.saturating_sub(other_sockets));
        process::retry(TIMEOUT, || {
            let open = connections()?;
            ensure!(open >= needed, "{open} of {needed} connections within {TIMEOUT:?}");
            Ok(())
        })?;
        thread::sleep(duration);
        Ok(Outcome {
            connections: connections()?,
            requests: loops,
            memory: usage(worker.id())?.memory,
        })
    }
}

fn markdown(results: &[(Row<Kind>, Vec<Outcome>)]) -> String {
    let mut table = String::from(
        "| program | connections | concurrent requests | peak memory, MB |\n\
         | --- | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        let count = |figure: fn(&Outcome) -> usize| {
            thousands(median(outcomes, |outcome| figure(outcome) as f64))
        };
        let connections = count(|outcome| outcome.connections);
        let requests = count(|outcome| outcome.requests);
        let memory = range(outcomes, |outcome| outcome.memory as f64 / 1e6);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} | {connections} | {requests} | {memory} |", row.name);
    }
    table
}
