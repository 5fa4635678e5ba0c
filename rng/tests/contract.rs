//! The HTTP interface of rng over real sockets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    net::Ipv6Addr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use chassis::{ByteSize, Limits, Shutdown, defaults};
use rng::Settings;
use testkit::{Client, Process, Service, TIMEOUT, build, eventually, metrics};

const MIB: usize = 1024 * 1024;

fn start_with(settings: &Settings) -> Service {
    Service::start(Limits::default(), |stop| {
        rng::router(settings, "rng".into(), rng::Metrics::default(), stop)
    })
}

fn start(delay: Duration) -> Service {
    start_with(&Settings { delay, ..defaults() })
}

fn without_delay() -> Service {
    start(Duration::ZERO)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: rng\r\n\r\n")
}

#[test]
fn the_index_names_the_host() {
    let hostname = Command::new("uname").arg("-n").output().unwrap().stdout;
    let hostname = String::from_utf8(hostname).unwrap();
    let response = Client::request(without_delay().address, "GET", "/");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), format!("RNG running on {}\n", hostname.trim()));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn the_body_has_exactly_the_requested_length() {
    let service = without_delay();
    for (path, length) in
        [("/0", 0), ("/1", 1), ("/32", 32), ("/032", 32), ("/65537", 65537), ("/1000000", 1000000)]
    {
        let response = Client::request(service.address, "GET", path);
        assert_eq!((response.status, response.body.len()), (200, length), "{path}");
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    }
}

#[test]
fn random_bytes_are_not_repeated() {
    let service = without_delay();
    let bytes = || Client::request(service.address, "GET", "/32").body;
    assert_ne!(bytes(), bytes());
    let large = Client::request(service.address, "GET", "/1000000").body;
    let mut pieces: Vec<&[u8]> = large.chunks_exact(32).collect();
    pieces.sort();
    pieces.dedup();
    assert_eq!(pieces.len(), large.len() / 32);
}

#[test]
fn a_path_that_is_not_a_number_is_not_found() {
    let service = without_delay();
    for path in ["/abc", "/-1", "/1.5", "/+1", "/1e3", "/0x10", "/%20", "/%FF", "/32/", "/3/2"] {
        assert_eq!(Client::request(service.address, "GET", path).status, 404, "{path}");
    }
}

#[test]
fn extra_slashes_are_ignored() {
    let service = without_delay();
    for path in ["//32", "///32", "/%2F32", "/%2f%2F32"] {
        let response = Client::request(service.address, "GET", path);
        assert_eq!((response.status, response.body.len()), (200, 32), "{path}");
    }
    for path in ["//", "/%2F"] {
        assert!(
            Client::request(service.address, "GET", path).text().starts_with("RNG running on ")
        );
    }
}

#[test]
fn refusals_are_one_sentence() {
    let service = without_delay();
    for (method, path, sentence) in [
        ("GET", "/abc", "Not found. Please ask for a number of bytes, such as /32.\n"),
        ("GET", "/some/where", "Not found. Please ask for a number of bytes, such as /32.\n"),
        ("POST", "/32", "Method not allowed. Please use GET.\n"),
        ("OPTIONS", "/32", ""),
    ] {
        let response = Client::request(service.address, method, path);
        assert_eq!(response.text(), sentence, "{method} {path}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn head_returns_the_headers_of_get_without_a_body() {
    let service = without_delay();
    let mut client = service.connect();
    for path in ["/32", "/104857600"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: rng\r\n\r\n"));
        let response = client.head();
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-length"), path.strip_prefix('/'));
    }
    client.send("HEAD / HTTP/1.1\r\nHost: rng\r\nConnection: close\r\n\r\n");
    let response = client.head();
    let length = Client::request(service.address, "GET", "/").body.len();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-length"), Some(length.to_string().as_str()));
    assert!(client.remainder().is_empty());
}

#[test]
fn other_methods_are_not_allowed() {
    let service = without_delay();
    for path in ["/", "/32"] {
        for (method, status) in [
            ("OPTIONS", 200),
            ("POST", 405),
            ("PUT", 405),
            ("DELETE", 405),
            ("PATCH", 405),
            ("BREW", 405),
        ] {
            let response = Client::request(service.address, method, path);
            assert_eq!(response.status, status, "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
}

#[test]
fn a_request_above_the_limit_is_rejected_with_one_sentence() {
    let service = start_with(&Settings { max_bytes: ByteSize(1000), ..defaults() });
    assert_eq!(Client::request(service.address, "GET", "/1000").body.len(), 1000);
    let digits = "9".repeat(1000);
    for n in ["1001", "18446744073709551616", "99999999999999999999", &digits] {
        let response = Client::request(service.address, "GET", &format!("/{n}"));
        assert_eq!(response.status, 400);
        assert_eq!(response.text(), "Please ask for at most 1000 bytes at once.\n");
    }
    let service = start_with(&defaults());
    assert_eq!(Client::request(service.address, "GET", "/104857601").status, 400);
}

#[test]
fn server_timing_separates_the_queue_from_the_delay() {
    let service = start(Duration::from_secs(1));
    let mut first = service.connect();
    first.send(get("/1"));
    thread::sleep(Duration::from_millis(300));
    let mut others: Vec<Client> = ["/", "/abc", "/2"]
        .map(|path| {
            let mut client = service.connect();
            client.send(get(path));
            client
        })
        .into();
    let first = first.response();
    assert!(first.timing("delay") >= 1000.0);
    for other in &mut others {
        let other = other.response();
        let queue = other.timing("queue");
        assert!(queue >= 100.0 && queue > first.timing("queue"), "{}", other.head);
        let slept = if other.body.len() == 2 { 1000.0 } else { 0.0 };
        assert!(other.timing("delay") >= slept, "{}", other.head);
        assert_eq!(other.timing("delay") > 0.0, slept > 0.0, "{}", other.head);
        assert!(other.timing("work") < 1000.0, "{}", other.head);
    }
}

#[test]
fn by_default_a_request_for_bytes_takes_a_tenth_of_a_second() {
    let service = start_with(&defaults());
    let started = Instant::now();
    for _ in 0..5 {
        Client::get(service.address, "/1");
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(Client::request(service.address, "GET", "/").timing("delay"), 0.0);
}

#[test]
fn a_slow_reader_does_not_block_other_clients() {
    let service = without_delay();
    let mut slow = service.connect();
    slow.send(get("/52428800"));
    assert_eq!(slow.head().status, 200);
    for path in ["/", "/32"] {
        assert_eq!(Client::request(service.address, "GET", path).status, 200);
    }
    let mut buffer = vec![0; MIB];
    let mut received = 0;
    while received < 50 * MIB {
        let read = slow.read(&mut buffer);
        assert_ne!(read, 0, "closed after {received} bytes");
        received += read;
    }
    assert_eq!(received, 50 * MIB);
    assert!(slow.is_silent(Duration::from_millis(50)));
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let service = start(Duration::from_millis(10));
    let mut client = service.connect();
    client.send([get("/1"), get("/abc"), get("/3")].concat());
    let responses = [client.response(), client.response(), client.response()];
    assert_eq!(responses.each_ref().map(|response| response.status), [200, 404, 200]);
    assert_eq!([responses[0].body.len(), responses[2].body.len()], [1, 3]);
}

#[test]
fn a_request_with_a_body_gets_a_response() {
    let service = without_delay();
    for method in ["GET", "POST"] {
        let mut client = service.connect();
        let head = format!("{method} /8 HTTP/1.1\r\nHost: rng\r\nContent-Length: 4\r\n\r\n");
        client.send(format!("{head}body"));
        assert_eq!(client.response().status, if method == "GET" { 200 } else { 405 });

        let mut client = service.connect();
        client.send(head.replace("4", "1000000000"));
        assert_eq!(client.response().status, if method == "GET" { 200 } else { 405 });
        // rng does not wait for the remainder of the body.
        client.remainder();
    }
    service.assert_alive();
}

#[test]
fn a_queued_request_outlives_the_timeouts_of_connections() {
    let short = Duration::from_millis(100);
    let limits =
        Limits { first_byte: short, header: short, stalled_write: short, ..Limits::default() };
    let settings = Settings { delay: 4 * short, ..defaults() };
    let service = Service::start(limits, |stop| {
        rng::router(&settings, "rng".into(), rng::Metrics::default(), stop)
    });
    let mut clients = [(); 4].map(|()| service.connect());
    clients.iter_mut().for_each(|client| client.send(get("/32")));
    for client in &mut clients {
        assert_eq!(client.response().body.len(), 32);
    }
}

#[test]
fn fifty_queued_requests_get_responses_when_the_service_stops() {
    // A response is possible only because stopping interrupts the delay.
    let service = start(Duration::from_secs(3600));
    let mut clients: Vec<Client> = (0..50).map(|_| service.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/32")));
    assert!(clients[0].is_silent(Duration::from_millis(100)));
    for response in service.drain(clients) {
        assert_eq!((response.status, response.body.len()), (200, 32));
    }
}

#[test]
fn rng_listens_on_ipv6() {
    let ipv6 = (Ipv6Addr::LOCALHOST, 0).into();
    if std::net::TcpListener::bind(ipv6).is_err() {
        return testkit::skip("this host has no IPv6");
    }
    let shutdown = Shutdown::new(Duration::from_secs(3600));
    let router = |stop| rng::router(&defaults(), "rng".into(), rng::Metrics::default(), stop);
    let service = Service::start_on(ipv6, Limits::default(), shutdown, router);
    assert_eq!(Client::request(service.address, "GET", "/32").body.len(), 32);
}

fn program(delay: &str) -> Process {
    Process::service(env!("CARGO_BIN_EXE_rng"), &[("DELAY", delay)])
}

#[test]
fn metrics_report_the_program_and_the_depth_of_its_queue() {
    let rng = program("1h");
    let (address, admin) = (rng.address("LISTEN"), rng.address("ADMIN_LISTEN"));
    assert_eq!(metrics(admin)[&build("rng")], 1.0);

    let depth = || metrics(admin)["rng_queue_depth"];
    assert_eq!(depth(), 0.0);
    let _first = Client::start(address, "GET /32", b"").unwrap();
    eventually(TIMEOUT, "a request in the lane", || depth() == 1.0);
    let others = ["GET /nowhere", "POST /32"];
    let _queued = others.map(|path| Client::start(address, path, b"").unwrap());
    eventually(TIMEOUT, "three queued requests", || depth() == 3.0);
}

#[test]
fn a_completed_or_abandoned_request_leaves_the_queue() {
    let rng = program("100ms");
    let (address, admin) = (rng.address("LISTEN"), rng.address("ADMIN_LISTEN"));
    assert_eq!(Client::get(address, "/32").status, 200);
    assert_eq!(Client::get(address, "/nowhere").status, 404);
    drop(Client::start(address, "GET /32", b"").unwrap());
    eventually(TIMEOUT, "an empty queue", || metrics(admin)["rng_queue_depth"] == 0.0);
}

#[test]
fn rng_works_with_a_low_limit_of_open_files() {
    let rng = env!("CARGO_BIN_EXE_rng");
    let command = "ulimit -n 40; exec \"$0\" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
    let rng = Process::start("/bin/sh", &["-c", command, rng], &[]);
    assert_eq!(Client::get(rng.address("LISTEN"), "/32").body.len(), 32);
    assert_eq!(metrics(rng.address("ADMIN_LISTEN"))["rng_queue_depth"], 0.0);
}
