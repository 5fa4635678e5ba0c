//! The stream of events: once a second, the same for everybody, to the end of the service.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use testkit::{Client, PATIENCE, Redis, Service, eventually, http};

use crate::{add, get, memory, reads, start, start_on};

/// A browser that listens.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(address: SocketAddr) -> Self {
        let mut stream = BufReader::new(http::ask(address, "GET /events", b"").unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let head = head.to_lowercase();
        for header in ["content-type: text/event-stream\r\n", "cache-control: no-cache\r\n"] {
            assert!(head.contains(header), "{head}");
        }
        Self(stream)
    }

    /// The data of the next event, or nothing at the end of the stream.
    fn next(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            // Chunks have lines of their own, which hold a size.
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.strip_suffix('\n').unwrap() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let [.., event, data] = &lines[..] else { return None };
        assert_eq!(event, "event: dashboard");
        Some(data.strip_prefix("data: ").unwrap().to_owned())
    }
}

#[test]
fn an_event_comes_at_once_and_then_every_second() {
    let store = memory();
    add(&store, 42);
    let service = start(store);
    eventually(PATIENCE, "the count", || get(&service, "/fragment").text().contains(">42<"));
    let mut stream = Stream::open(service.address);
    let first = stream.next().unwrap();
    assert!(first.starts_with("<section") && first.contains(">42<"), "{first}");
    // The best of five, for noise.
    let took = (0..5).map(|_| {
        let opened = Instant::now();
        Stream::open(service.address).next().unwrap();
        opened.elapsed()
    });
    let took = took.min().unwrap();
    assert!(took < Duration::from_millis(300), "{took:?}");

    let mut times = Vec::new();
    for _ in 0..4 {
        assert!(stream.next().unwrap().ends_with("</section>"));
        times.push(Instant::now());
    }
    let three = times[3] - times[0];
    assert!((2500..10_000).contains(&three.as_millis()), "three events in {three:?}");
}

#[test]
fn everybody_is_told_the_same() {
    let service = start(memory());
    let mut streams: Vec<_> = (0..20).map(|_| Stream::open(service.address)).collect();
    let heard: Vec<Vec<_>> =
        streams.iter_mut().map(|stream| (0..4).map(|_| stream.next().unwrap()).collect()).collect();
    // Each rendering has its own time, so the same text is the same rendering.
    for other in &heard[1..] {
        assert!(other.iter().filter(|event| heard[0].contains(event)).count() >= 2);
    }
}

#[test]
fn a_client_that_takes_nothing_holds_nobody_up() {
    let service = start(memory());
    let mut lazy: Vec<_> = (0..10).map(|_| Client::connect(service.address)).collect();
    for client in &mut lazy {
        client.send("GET /events HTTP/1.1\r\nHost: webui\r\n\r\n");
    }
    let mut stream = Stream::open(service.address);
    let started = Instant::now();
    (0..4).for_each(|_| drop(stream.next().unwrap()));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn streams_end_when_the_service_stops() {
    let service = start(memory());
    let mut streams: Vec<_> = (0..5).map(|_| Stream::open(service.address)).collect();
    streams.iter_mut().for_each(|stream| assert!(stream.next().is_some()));
    let stopped = Instant::now();
    service.stop();
    streams.iter_mut().for_each(|stream| while stream.next().is_some() {});
    service.wait(Duration::from_secs(5));
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
}

#[test]
fn prometheus_learns_what_was_read_and_who_listens() {
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
    eventually(PATIENCE, "a reading", || value("webui_hashes") == 42.0);
    assert_eq!((value("webui_coins"), value("webui_workers"), streams()), (1.0, 0.0, 3.0));
    assert!((crate::now() - value("webui_last_reading_timestamp_seconds")).abs() < 5.0);
    drop(open);
    eventually(PATIENCE, "an end of the streams", || streams() == 0.0);
}

#[test]
fn redis_is_read_three_times_a_second_at_most_with_streams_polls_and_coins_together() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let address = service.address;
    let mut streams: Vec<_> = (0..50).map(|_| Stream::open(address)).collect();
    streams.iter_mut().for_each(|stream| drop(stream.next()));
    let (started, before) = (Instant::now(), reads(&redis));
    let in_time = || started.elapsed() < Duration::from_secs(3);
    let answered = thread::scope(|scope| {
        let ask = |path: String| {
            let mut answers = 0;
            while in_time() {
                assert!([200, 404].contains(&http::get(address, &path).status), "{path}");
                answers += 1;
            }
            answers
        };
        let coins = (0..20).map(|coin| format!("/coins/{coin:064x}"));
        let paths = coins.chain((0..10).map(|_| "/json".to_owned()));
        let askers: Vec<_> = paths.map(|path| scope.spawn(move || ask(path))).collect();
        for stream in &mut streams {
            assert!(stream.next().is_some());
        }
        askers.into_iter().map(|asker| asker.join().unwrap()).sum::<u32>()
    });
    let made = f64::from(reads(&redis) - before);
    let most = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(made >= 3.0 && made <= most, "{made} readings, {most} allowed");
    assert!(answered > 100, "only {answered} answers");
}
