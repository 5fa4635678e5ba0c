//! The CPU time of a response and of an event of webui, next to a bare axum handler that sends the
//! same number of bytes.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::{Process, Redis};

use crate::{
    clients::{self, Streams},
    figures::{median, number, range, thousands},
    handler::EVENTS,
    process::{self, Meter},
    rounds::{self, Row},
    settings::Settings,
};

/// Connections that send requests, each the next one as soon as it has a response.
const CONNECTIONS: usize = 64;

/// Open streams of events.
const STREAMS: u64 = 1000;

/// The result of one run of a row.
struct Outcome {
    /// Responses or events per second.
    speed: f64,
    /// CPU time of the service per second.
    cores: f64,
    /// The length of the body of a response, or of the data of an event.
    bytes: usize,
    /// Peak memory, in bytes.
    memory: u64,
}

impl Outcome {
    /// CPU time per response or event, in microseconds.
    fn cpu(&self) -> f64 {
        self.cores / self.speed * 1e6
    }
}

fn rows() -> Vec<Row<&'static str>> {
    let name = |path| match path {
        EVENTS => format!("{} streams", thousands(STREAMS as f64)),
        path => format!("GET {path}"),
    };
    ["/json", "/", "/index.html", EVENTS].map(|path| Row { name: name(path), kind: path }).into()
}

/// Measures all rows, and writes the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let application = Application::start()?;
    let duration = settings.duration();
    let results = rounds::measure(settings.rounds, rows(), |path| {
        let webui = measure(&application.start_webui()?, path, duration)?;
        let handler = ["handler", path, &webui.bytes.to_string()];
        let axum = Process::start(process::own_path()?, &handler, &[]);
        let axum = measure(&axum, path, duration)?;
        Ok([webui, axum])
    })?;
    rounds::write(&settings.output, "webui.md", &markdown(&results))
}

/// The application with its default settings and one worker, as data for webui.
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

    fn start_webui(&self) -> Result<Process> {
        let settings = [("REDIS_URL", &*self.redis.url()), ("RUST_LOG", "info,access=off")];
        process::program("webui", &settings)
    }
}

fn measure(service: &Process, path: &str, duration: Duration) -> Result<Outcome> {
    let address = service.address("LISTEN");
    let streams = (path == EVENTS).then(|| Streams::open(address, STREAMS)).transpose()?;
    let meter = Meter::start(&[service.id()])?;
    let started = Instant::now();
    let count = match streams {
        Some(streams) => streams.count_events(duration),
        None => clients::send_requests(address, path, CONNECTIONS, duration)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(count > 0, "no response or event within {duration:?}");
    let usages = meter.usages()?;
    let usage = usages.first().context("no service")?;
    Ok(Outcome {
        speed: count as f64 / seconds,
        cores: usage.cpu / seconds,
        bytes: clients::body_len(address, path)?,
        memory: usage.memory,
    })
}

fn markdown(results: &[(Row<&str>, Vec<[Outcome; 2]>)]) -> String {
    let mut table = String::from(
        "| service | bytes | responses or events/s | CPU for each, µs | relative to axum | CPU, cores \
         | peak memory, MB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (row, outcomes) in results {
        for (service, i) in [("webui", 0), ("axum", 1)] {
            let of = |figure: fn(&Outcome) -> f64| move |pair: &[Outcome; 2]| figure(&pair[i]);
            let ratio = |pair: &[Outcome; 2]| pair[i].cpu() / pair[1].cpu();
            // Writing to a string cannot fail.
            let _ = writeln!(
                table,
                "| {service}, {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                thousands(median(outcomes, of(|outcome| outcome.bytes as f64))),
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
