//! Traces of the real programs, with and without a collector.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod collector;

use std::{
    collections::{HashMap, HashSet},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use testkit::{Process, Redis, eventually, metrics};

use crate::collector::{Collector, Span};

const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a program may take to exit.
const SOON: Duration = Duration::from_secs(7);

fn program(name: &str, settings: &[(&str, &str)]) -> Process {
    Process::service(testkit::sibling(env!("CARGO_BIN_EXE_dockercoins"), name), settings)
}

/// The three services of a unit of work, with common settings.
struct Trio {
    worker: Process,
    rng: Process,
    hasher: Process,
}

impl Trio {
    fn start(redis: &Redis, settings: &[(&str, &str)]) -> Self {
        let (rng, hasher) = (program("rng", settings), program("hasher", settings));
        let rng_url = format!("http://{}", rng.address("LISTEN"));
        let hasher_url = format!("http://{}", hasher.address("LISTEN"));
        let own = [
            ("RNG_URL", rng_url.as_str()),
            ("HASHER_URL", &hasher_url),
            ("REDIS_URL", &redis.url()),
        ];
        let worker = program("worker", &[&own, settings].concat());
        Self { worker, rng, hasher }
    }

    fn units(&self) -> f64 {
        metrics(self.worker.address("ADMIN_LISTEN"))["worker_units_total"]
    }

    /// Stops all three with SIGTERM, the worker first; returns the longest time that one took.
    fn end(&mut self) -> Duration {
        let end = |process: &mut Process| {
            let started = Instant::now();
            process.terminate();
            assert_eq!(process.wait(TIMEOUT).code(), Some(0));
            started.elapsed()
        };
        [&mut self.worker, &mut self.rng, &mut self.hasher].map(end).into_iter().max().unwrap()
    }
}

#[test]
fn a_unit_of_work_is_one_trace_across_three_services() {
    assert_one_trace_per_unit("3");
}

#[test]
fn a_unit_of_work_is_one_trace_with_one_thread() {
    assert_one_trace_per_unit("1");
}

fn assert_one_trace_per_unit(threads: &str) {
    let Some(redis) = Redis::start() else { return };
    let collector = Collector::start();
    let export = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.version=v0.7".to_owned()),
        ("DELAY", "20ms".to_owned()),
        ("CONCURRENCY", "3".to_owned()),
        ("THREADS", threads.to_owned()),
    ];
    let mut trio = Trio::start(&redis, &export.each_ref().map(|(name, value)| (*name, &**value)));
    eventually(TIMEOUT, "ten whole traces", || complete_traces(&collector.spans()).len() >= 10);
    trio.end();

    // Spans are also exported at the exit, so there is one trace per counted unit of work.
    eventually(TIMEOUT, "a trace for each unit of work", || {
        complete_traces(&collector.spans()).len() as u64 == redis.hashes()
    });
    let ids = collector.spans().into_iter().map(|span| span.id);
    let (count, different) = (ids.len(), ids.collect::<HashSet<_>>().len());
    assert_eq!(count, different);
    let mut queued = 0;
    for trace in complete_traces(&collector.spans()) {
        assert_complete(&trace);
        let queue = trace.iter().find(|span| span.name == "queue").unwrap();
        queued += usize::from(queue.end - queue.start > 10_000_000);
    }
    assert!(queued > 0, "three loops and one lane, but no request was queued");
}

/// The traces of completed units of work.
fn complete_traces(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut traces: HashMap<&[u8], Vec<Span>> = HashMap::new();
    for span in spans {
        traces.entry(&span.trace).or_default().push(span.clone());
    }
    let is_complete = |trace: &Vec<Span>| {
        trace.iter().any(|span| span.parent.is_empty())
            && trace.iter().filter(|span| span.kind == SpanKind::Server).count() == 2
    };
    traces.into_values().filter(is_complete).collect()
}

/// Asserts that a trace has all its spans, each with the correct parent and within its time.
fn assert_complete(trace: &[Span]) {
    let (client, server, internal) = (SpanKind::Client, SpanKind::Server, SpanKind::Internal);
    let mut found = Vec::new();
    for span in trace {
        assert!(!span.failed && span.start <= span.end, "{span:?}");
        assert_eq!(span.version, "v0.7");
        let Some(parent) = trace.iter().find(|other| other.id == span.parent) else {
            assert!(span.parent.is_empty(), "{span:?} has a parent outside its trace");
            found.push((&*span.service, &*span.name, span.kind, ""));
            continue;
        };
        assert!(parent.start <= span.start && span.end <= parent.end, "{span:?} in {parent:?}");
        found.push((&*span.service, &*span.name, span.kind, &*parent.name));
        if span.kind == server {
            let status = ("http.response.status_code".to_owned(), "200".to_owned());
            assert!(span.attributes.contains(&status), "{span:?}");
        }
    }
    found.sort_by_key(|(service, name, ..)| (*service, *name));
    let expected = [
        ("hasher", "POST /", server, "POST hasher"),
        ("hasher", "delay", internal, "POST /"),
        ("rng", "GET /{n}", server, "GET rng"),
        ("rng", "delay", internal, "GET /{n}"),
        ("rng", "queue", internal, "GET /{n}"),
        ("worker", "GET rng", client, "unit of work"),
        ("worker", "POST hasher", client, "unit of work"),
        ("worker", "pause", internal, "unit of work"),
        ("worker", "unit of work", internal, ""),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_hanging_or_missing_collector_affects_neither_the_speed_nor_the_exit() {
    let Some(redis) = Redis::start() else { return };
    let hanging = Collector::hanging();
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let none = [("DELAY", "5ms")];
    let trio = |url: &str| {
        // With a short queue and small batches, the exporter is always overloaded.
        let small = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "50"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ];
        Trio::start(&redis, &[&small, &none[..]].concat())
    };
    let mut trios = [
        Trio::start(&redis, &none),
        trio(&hanging.url()),
        trio(&format!("http://{closed_port}")),
        trio("http://nowhere.invalid:4318"),
    ];
    for trio in &trios {
        eventually(TIMEOUT, "some work", || trio.units() > 10.0);
    }
    let before = trios.each_ref().map(Trio::units);
    thread::sleep(Duration::from_secs(5));
    let after = trios.each_ref().map(Trio::units);
    let speeds: Vec<f64> =
        before.iter().zip(&after).map(|(before, after)| after - before).collect();
    println!("units of work in 5 s: {speeds:?}");
    for speed in &speeds[1..] {
        assert!(*speed > 0.8 * speeds[0], "{speeds:?}");
    }
    for (trio, exporting) in trios.iter_mut().zip([false, true, true, true]) {
        let time = trio.end();
        assert!(time < SOON, "the end took {time:?}");
        let lines = trio.worker.lines();
        let lost = lines.iter().filter(|line| line.contains("spans are lost")).count();
        assert!(lost <= usize::from(exporting), "{lines:?}");
    }
    // Each worker with a failing collector logs it once.
    let lost = |trio: &Trio| trio.worker.lines().iter().any(|line| line.contains("spans are lost"));
    assert!(trios[1..].iter().all(lost));
}

#[test]
fn without_a_collector_trace_ids_are_still_in_every_log() {
    let Some(redis) = Redis::start() else { return };
    let settings = [("LOG_FORMAT", "json"), ("DEBUG", "y"), ("DELAY", "0s")];
    let mut trio = Trio::start(&redis, &settings);
    eventually(TIMEOUT, "some work", || trio.units() > 10.0);
    trio.end();
    let traces = |process: &Process, text: &str| {
        let lines = process.lines();
        let lines = lines.iter().filter(|line| line.contains(text));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ids = lines.map(|line| {
            let (trace, span) = (line["trace_id"].as_str(), line["span_id"].as_str());
            assert_eq!(span.map(str::len), Some(16), "{line}");
            trace.unwrap().to_owned()
        });
        ids.collect::<Vec<_>>()
    };
    let began = traces(&trio.worker, "Doing one unit of work");
    assert_eq!(began.iter().collect::<HashSet<_>>().len(), began.len(), "one trace each");
    let (requested, hashed) = (traces(&trio.rng, "\"GET"), traces(&trio.hasher, "\"POST"));
    assert_eq!(requested[..10], began[..10]);
    assert_eq!(hashed[..10], began[..10]);
}

#[test]
fn spans_are_not_exported_if_disabled_or_not_sampled() {
    let Some(redis) = Redis::start() else { return };
    let collector = Collector::start();
    let url = collector.url();
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let export = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
        let mut trio = Trio::start(&redis, &[export, off, ("DELAY", "0s")]);
        eventually(TIMEOUT, "some work", || trio.units() > 10.0);
        trio.end();
        assert!(collector.spans().is_empty(), "{off:?}");
    }
    // One trace in four is sampled, with the spans of all services.
    let quarter = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("DELAY", "0s"),
    ];
    let mut trio = Trio::start(&redis, &quarter);
    let before = redis.hashes();
    eventually(TIMEOUT, "more work", || trio.units() > 400.0);
    trio.end();
    let hashes = (redis.hashes() - before) as f64;
    let traces = complete_traces(&collector.spans());
    println!("{} traces of {hashes} units of work", traces.len());
    assert!((0.1..0.4).contains(&(traces.len() as f64 / hashes)));
    assert!(traces.iter().all(|trace| trace.len() == 9));
}

#[test]
fn an_unsupported_collector_is_rejected() {
    let assert_rejected = |settings: &[(&str, &str)], words: [&str; 3]| {
        let mut rng = program("rng", settings);
        assert_eq!(rng.wait(TIMEOUT).code(), Some(2), "{settings:?}");
        let errors = rng.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        for word in words {
            assert!(errors[0].contains(word), "{word:?} is not in {errors:?}");
        }
    };
    for endpoint in ["https://here:4318", "here:4318", "/v1/traces", "nonsense"] {
        for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            assert_rejected(&[(name, endpoint)], [name, endpoint, "http://collector:4318"]);
        }
    }
    let export = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://here:4318");
    for (name, value, valid) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "7", "0.01"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "10000"),
    ] {
        assert_rejected(&[export, (name, value)], [name, value, valid]);
    }
    let secret = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:s3cret@here:4318")];
    let mut rng = program("rng", &secret);
    assert_eq!(rng.wait(TIMEOUT).code(), Some(2));
    let errors = rng.errors().join("\n");
    assert!(errors.contains("without user and password") && !errors.contains("s3cret"), "{errors}");
}
