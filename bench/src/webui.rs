//! What an answer and an event of webui cost, beside a bare axum handler that sends as many bytes.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{Process, Redis};

use crate::{
    Settings,
    clients::{self, Streams},
    figures::{group, median, number, range},
    handler::EVENTS,
    process::{self, Started},
    turns::{self, Row},
};

/// Connections that ask, each again as soon as it has its answer.
const CONNECTIONS: usize = 64;

/// Browsers that listen.
const STREAMS: u64 = 1000;

/// What a service has reached in one turn.
struct Outcome {
    /// Answers or events per second.
    speed: f64,
    /// Of the service, in cores.
    cores: f64,
    /// The length of the body of an answer, or of the data of an event.
    bytes: usize,
    /// The most memory at once, in bytes.
    memory: u64,
}

impl Outcome {
    /// For each answer or event, in microseconds.
    fn cpu(&self) -> f64 {
        self.cores / self.speed * 1e6
    }
}

fn rows() -> Vec<Row<&'static str>> {
    let name = |path| match path {
        EVENTS => format!("{} streams", group(STREAMS as f64)),
        path => format!("GET {path}"),
    };
    ["/json", "/", "/index.html", EVENTS].map(|path| Row { name: name(path), kind: path }).into()
}

/// Measures all rows, and writes the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let application = Application::start()?;
    let length = settings.length();
    let results = turns::take(settings, rows(), |path| {
        let webui = measured(&application.webui()?, path, length)?;
        let handler = ["handler", path, &webui.bytes.to_string()];
        let axum = measured(&Process::start(process::this()?, &handler, &[]), path, length)?;
        Ok([webui, axum])
    })?;
    turns::write(settings, "webui.md", &markdown(&results))
}

/// The application as shipped, with one worker, for webui to show.
struct Application {
    redis: Redis,
    _others: [Process; 3],
}

impl Application {
    fn start() -> Result<Self> {
        let redis = process::redis()?;
        let (rng, hasher) = (process::program("rng", &[])?, process::program("hasher", &[])?);
        let url = |service: &Process| format!("http://{}/", service.address("LISTEN"));
        let (rng_url, hasher_url, redis_url) = (url(&rng), url(&hasher), redis.url());
        let urls =
            [("RNG_URL", &*rng_url), ("HASHER_URL", &*hasher_url), ("REDIS_URL", &*redis_url)];
        let worker = process::program("worker", &urls)?;
        Ok(Self { redis, _others: [rng, hasher, worker] })
    }

    fn webui(&self) -> Result<Process> {
        let settings = [("REDIS_URL", &*self.redis.url()), ("RUST_LOG", "info,access=off")];
        process::program("webui", &settings)
    }
}

fn measured(service: &Process, path: &str, length: Duration) -> Result<Outcome> {
    let peer = service.address("LISTEN");
    let streams = (path == EVENTS).then(|| Streams::open(peer, STREAMS)).transpose()?;
    let started = Started::new(&[service.id()])?;
    let begun = Instant::now();
    let count = match streams {
        Some(streams) => streams.events(length),
        None => clients::ask(peer, path, CONNECTIONS, length)?,
    };
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(count > 0, "no answer or event came in the turn of {length:?}");
    let usages = started.usages()?;
    let usage = usages.first().context("no service")?;
    Ok(Outcome {
        speed: count as f64 / seconds,
        cores: usage.cpu / seconds,
        bytes: clients::size(peer, path)?,
        memory: usage.memory,
    })
}

fn markdown(results: &[(Row<&str>, Vec<[Outcome; 2]>)]) -> String {
    let mut table = String::from(
        "| service | bytes | answers or events/s | CPU for each, µs | of axum | CPU, cores | memory, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        for (service, i) in [("webui", 0), ("axum", 1)] {
            let of = |figure: fn(&Outcome) -> f64| move |both: &[Outcome; 2]| figure(&both[i]);
            let ratio = |both: &[Outcome; 2]| both[i].cpu() / both[1].cpu();
            // Writing to a string cannot fail.
            let _ = writeln!(
                table,
                "| {service}, {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                group(median(outcomes, of(|outcome| outcome.bytes as f64))),
                range(outcomes, of(|outcome| outcome.speed)),
                range(outcomes, of(Outcome::cpu)),
                number(median(outcomes, ratio)),
                number(median(outcomes, of(|outcome| outcome.cores))),
                number(median(outcomes, of(|outcome| outcome.memory as f64 / 1e6))),
            );
        }
    }
    table
}
