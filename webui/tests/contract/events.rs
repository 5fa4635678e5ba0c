//! The stream of events.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use serde_json::Value;
use testkit::{Client, Redis, Service, TIMEOUT, eventually};

use crate::{add, get, memory, reads, start, start_on};

/// A client of the stream, which shows pages as the script does.
struct Stream {
    reader: BufReader<TcpStream>,
    lines: Vec<String>,
    /// The size of the last event in bytes.
    size: usize,
}

impl Stream {
    fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/events")
    }

    fn open_at(address: SocketAddr, path: &str) -> Self {
        let request = format!("GET {path}");
        let mut reader = Client::start(address, &request, b"").unwrap().into_reader();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let head = head.to_lowercase();
        for header in ["content-type: text/event-stream\r\n", "cache-control: no-cache\r\n"] {
            assert!(head.contains(header), "{head}");
        }
        Self { reader, lines: Vec::new(), size: 0 }
    }

    /// The dashboard after the next event; none at the end of the stream.
    fn next(&mut self) -> Option<String> {
        let (mut event, mut data) = (String::new(), Vec::new());
        self.size = 0;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            self.size += line.len();
            // The lines between the chunks contain their sizes.
            match line.strip_suffix('\n').unwrap().split_once(": ") {
                Some(("event", name)) => event = name.to_owned(),
                Some(("data", text)) => data.push(text.to_owned()),
                _ if line == "\n" => break,
                _ => {}
            }
        }
        match event.as_str() {
            "whole" => self.lines = data,
            "patch" => {
                for change in serde_json::from_str::<Vec<Vec<Value>>>(&data.concat()).unwrap() {
                    let [start, removed, added @ ..] = &change[..] else { panic!("{change:?}") };
                    let start = start.as_u64().unwrap() as usize;
                    let end = start + removed.as_u64().unwrap() as usize;
                    let added = added.iter().map(|line| line.as_str().unwrap().to_owned());
                    self.lines.splice(start..end, added);
                }
            }
            other => panic!("{other}"),
        }
        Some(self.lines.join("\n"))
    }
}

#[test]
fn an_event_is_sent_at_once_and_then_every_second() {
    let store = memory();
    add(&store, 42);
    let service = start(store);
    eventually(TIMEOUT, "the count", || get(&service, "/fragment").text().contains(">42<"));
    let mut stream = Stream::open(service.address);
    let first = stream.next().unwrap();
    assert!(first.starts_with("<section") && first.contains(">42<"), "{first}");
    // A stream that waits for the next tick takes about a second. The fastest of five filters out
    // noise.
    let took = (0..5).map(|_| {
        let opened = Instant::now();
        Stream::open(service.address).next().unwrap();
        opened.elapsed()
    });
    let took = took.min().unwrap();

    let mut times = Vec::new();
    for _ in 0..4 {
        assert!(stream.next().unwrap().ends_with("</section>"));
        times.push(Instant::now());
    }
    let three = times[3] - times[0];
    assert!(three >= Duration::from_millis(2500), "three events in {three:?}");
    assert!(took < three / 6, "{took:?} until the first of them, {three:?} for three more");
}

#[test]
fn all_clients_get_the_same_events() {
    let service = start(memory());
    let mut streams: Vec<_> = (0..20).map(|_| Stream::open(service.address)).collect();
    let received: Vec<Vec<_>> =
        streams.iter_mut().map(|stream| (0..4).map(|_| stream.next().unwrap()).collect()).collect();
    // Each rendering contains its time, so equal texts are the same rendering.
    for other in &received[1..] {
        assert!(other.iter().filter(|event| received[0].contains(event)).count() >= 2);
    }
}

#[test]
fn a_client_that_stops_reading_does_not_delay_others() {
    let service = start(memory());
    let mut stalled: Vec<_> = (0..10).map(|_| Client::connect(service.address)).collect();
    for client in &mut stalled {
        client.send("GET /events HTTP/1.1\r\nHost: webui\r\n\r\n");
    }
    let mut stream = Stream::open(service.address);
    // Reading has a timeout.
    (0..4).for_each(|_| drop(stream.next().unwrap()));
}

#[test]
fn streams_end_when_the_service_stops() {
    let service = start(memory());
    let mut streams: Vec<_> = (0..5).map(|_| Stream::open(service.address)).collect();
    streams.iter_mut().for_each(|stream| assert!(stream.next().is_some()));
    service.stop();
    streams.iter_mut().for_each(|stream| while stream.next().is_some() {});
    service.wait(TIMEOUT);
}

#[test]
fn counters_and_streams_are_metrics() {
    let mut registry = Registry::default();
    let metrics = webui::Metrics::register(&mut registry);
    let value = |name: &str| -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    assert!(value("webui_predicted_hashes_per_second").is_nan());
    let store = memory();
    add(&store, 42);
    let service = Service::start(chassis::Limits::default(), |stop| {
        webui::router(&chassis::defaults(), store, metrics, stop).unwrap()
    });
    let streams = || value("webui_event_streams");
    let open: Vec<_> = (0..3).map(|_| Stream::open(service.address)).collect();
    eventually(TIMEOUT, "a reading", || value("webui_hashes") == 42.0);
    assert_eq!((value("webui_coins"), value("webui_workers"), streams()), (1.0, 0.0, 3.0));
    assert!((crate::now() - value("webui_last_reading_timestamp_seconds")).abs() < 30.0);
    drop(open);
    eventually(TIMEOUT, "the end of the streams", || streams() == 0.0);
}

#[test]
fn patches_lead_to_the_page_that_others_get_as_a_whole() {
    let store = memory();
    let service = start(store.clone());
    for window in [1, 5, 30] {
        let mut stream = Stream::open_at(service.address, &format!("/events?window={window}"));
        let first = stream.next().unwrap();
        assert!(first.contains(&format!("last {window} minute")), "{first}");
        let whole = stream.size;
        let mut patches = 0;
        for _ in 0..4 {
            stream.next().unwrap();
            patches += usize::from(stream.size < whole / 2);
        }
        assert!(patches >= 2, "{patches} small events");
        eventually(TIMEOUT, "the same page", || {
            let shown = stream.next().unwrap();
            shown == get(&service, &format!("/fragment?window={window}")).text()
        });
    }
}

#[test]
fn redis_is_read_once_a_second_with_any_number_of_streams_pages_and_coins() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let address = service.address;
    let mut streams: Vec<_> = (0..50).map(|_| Stream::open(address)).collect();
    streams.iter_mut().for_each(|stream| drop(stream.next()));
    let (started, before) = (Instant::now(), reads(&redis));
    let in_time = || started.elapsed() < Duration::from_secs(3);
    let responses = thread::scope(|scope| {
        let request = |path: String| {
            let mut responses = 0;
            while in_time() {
                assert!([200, 404].contains(&Client::get(address, &path).status), "{path}");
                responses += 1;
            }
            responses
        };
        let coins = (0..20).map(|coin| format!("/coins/{coin:064x}"));
        let paths = coins.chain((0..10).map(|_| "/fragment".to_owned()));
        let clients: Vec<_> = paths.map(|path| scope.spawn(move || request(path))).collect();
        for stream in &mut streams {
            assert!(stream.next().is_some());
        }
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u32>()
    });
    let readings = f64::from(reads(&redis) - before);
    let limit = started.elapsed().as_secs_f64() + 1.0;
    assert!(readings >= 1.0 && readings <= limit, "{readings} readings, {limit} allowed");
    assert!(responses > 100, "only {responses} responses");
}
