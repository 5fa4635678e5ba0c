//! The HTTP interface of hasher over real sockets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    net::{Ipv6Addr, Shutdown as Half, SocketAddr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use chassis::{ByteSize, Limits, Shutdown, defaults};
use hasher::Settings;
use sha2::{Digest, Sha256};
use testkit::{Client, Process, Response, Service, TIMEOUT, build, metrics};

const MIB: usize = 1024 * 1024;

/// Source: FIPS 180-2, appendix B, and NIST's example values.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MILLION_A: &str = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

fn start_with(settings: &Settings) -> Service {
    Service::start(Limits::default(), |stop| hasher::router(settings, stop))
}

fn start(delay: Duration) -> Service {
    start_with(&Settings { delay, ..defaults() })
}

fn without_delay() -> Service {
    start(Duration::ZERO)
}

fn with_max_body(bytes: u64) -> Service {
    start_with(&Settings { max_body: ByteSize(bytes), delay: Duration::ZERO })
}

fn post(address: SocketAddr, body: &[u8]) -> Response {
    Client::start(address, "POST /", body).unwrap().finish().unwrap()
}

#[test]
fn the_index_names_the_host() {
    let hostname = Command::new("uname").arg("-n").output().unwrap().stdout;
    let hostname = String::from_utf8(hostname).unwrap();
    let service = without_delay();
    let response = Client::request(service.address, "GET", "/");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), format!("HASHER running on {}\n", hostname.trim()));
    let head = Client::request(service.address, "HEAD", "/");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), response.header("content-length"));
}

#[test]
fn the_response_is_the_hash_of_the_body() {
    let service = without_delay();
    for (body, hash) in [(&b""[..], EMPTY), (b"abc", ABC), (&[b'a'; 1_000_000], MILLION_A)] {
        let response = post(service.address, body);
        assert_eq!((response.status, response.text().as_str()), (200, hash));
        assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    }
    let mut client = service.connect();
    client.send("POST / HTTP/1.1\r\nHost: hasher\r\n\r\n");
    assert_eq!(client.response().text(), EMPTY);
}

#[test]
fn any_content_type_is_accepted() {
    let service = without_delay();
    for content_type in [
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/form-data; boundary=b",
        "no type at all",
    ] {
        let mut client = service.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: hasher\r\nContent-Type: {content_type}\r\n\
             Content-Length: 3\r\n\r\nabc"
        ));
        assert_eq!(client.response().text(), ABC, "{content_type}");
    }
}

#[test]
fn binary_bodies_are_hashed() {
    let bytes: Vec<u8> = (0..=255).collect();
    let hash = "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880";
    assert_eq!(post(without_delay().address, &bytes).text(), hash);
}

#[test]
fn a_chunked_body_is_hashed_without_its_trailers() {
    let service = without_delay();
    let mut client = service.connect();
    client.send("POST / HTTP/1.1\r\nHost: hasher\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    client.send("2;name=value\r\nbc\r\n");
    client.send("0\r\nTrailer: d\r\n\r\n");
    assert_eq!(client.response().text(), ABC);
}

#[test]
fn a_body_may_arrive_byte_by_byte() {
    let service = without_delay();
    let mut client = service.connect();
    client.send("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 3\r\n\r\n");
    for byte in ["a", "b", "c"] {
        assert!(client.is_silent(Duration::from_millis(50)));
        client.send(byte);
    }
    assert_eq!(client.response().text(), ABC);
}

#[test]
fn expect_100_continue_is_supported() {
    let service = with_max_body(3);
    let expect = |length| {
        format!(
            "POST / HTTP/1.1\r\nHost: hasher\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut client = service.connect();
    client.send(expect(3));
    assert_eq!(client.head().status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), ABC);

    let mut client = service.connect();
    client.send(expect(4));
    assert_eq!(client.response().status, 413);
}

#[test]
fn requests_are_processed_concurrently() {
    let delay = Duration::from_millis(500);
    let service = start(delay);
    let started = Instant::now();
    let clients: Vec<_> =
        (0..10).map(|_| Client::start(service.address, "POST /", b"abc").unwrap()).collect();
    for client in clients {
        let response = client.finish().unwrap();
        assert_eq!(response.text(), ABC);
        assert_eq!(response.timing("queue"), 0.0);
        assert!(response.timing("delay") >= 500.0);
    }
    assert!(started.elapsed() < 5 * delay, "{:?}", started.elapsed());
}

#[test]
fn other_requests_do_not_wait_for_a_hash() {
    let service = start(Duration::from_secs(3600));
    let mut delayed = service.connect();
    delayed.send("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 3\r\n\r\nabc");
    assert!(delayed.is_silent(Duration::from_millis(100)));
    let response = Client::request(service.address, "GET", "/");
    assert_eq!((response.timing("queue"), response.timing("delay")), (0.0, 0.0));
    assert_eq!(Client::request(service.address, "POST", "/x").status, 404);
}

#[test]
fn by_default_a_hash_takes_a_tenth_of_a_second() {
    let service = start_with(&defaults());
    let started = Instant::now();
    for _ in 0..3 {
        post(service.address, b"");
    }
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn extra_slashes_are_ignored_and_logged_as_sent() {
    let hasher = program();
    let address = hasher.address("LISTEN");
    for path in ["//", "///", "/%2F"] {
        assert!(
            Client::request(address, "GET", path).text().starts_with("HASHER running on "),
            "{path}"
        );
    }
    assert_eq!(Client::request(address, "POST", "//").status, 200);
    hasher.wait_for("\"GET /%2F HTTP/1.1\" 200", TIMEOUT);
}

#[test]
fn other_methods_and_paths_are_not_found() {
    let service = without_delay();
    for (method, path) in
        [("POST", "/x"), ("GET", "/x"), ("PUT", "/"), ("DELETE", "/"), ("BREW", "/")]
    {
        let response = Client::request(service.address, method, path);
        assert_eq!((response.status, response.header("allow")), (404, None), "{method} {path}");
    }
}

#[test]
fn an_oversized_body_is_rejected_with_one_sentence() {
    let service = with_max_body(3);
    assert_eq!(post(service.address, b"abc").text(), ABC);

    let head = "POST / HTTP/1.1\r\nHost: hasher\r\n";
    for request in [
        format!("{head}Content-Length: 4\r\n\r\nabcd"),
        format!("{head}Content-Length: 99999999999\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
    ] {
        let mut client = service.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, 413);
        assert_eq!(response.text(), "Please send at most 3 bytes at once.\n");
    }
    service.assert_alive();
}

#[test]
fn a_client_that_sends_all_of_an_oversized_body_is_rejected_or_disconnected() {
    let service = with_max_body(1000);
    let mut client = service.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: {}\r\n\r\n", 8 * MIB));
    let _ = client.try_send(vec![0; 8 * MIB]);
    let response = String::from_utf8(client.remainder()).unwrap();
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 413"), "{response}");
    service.assert_alive();
}

#[test]
fn a_truncated_body_is_not_hashed() {
    let service = without_delay();
    for head in ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\n"] {
        for half in [Half::Write, Half::Both] {
            let mut client = service.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: hasher\r\n{head}abc"));
            client.socket().shutdown(half).unwrap();
            let response = String::from_utf8(client.remainder()).unwrap();
            assert!(response.is_empty() || response.starts_with("HTTP/1.1 400"), "{response}");
        }
    }
    service.assert_alive();
}

#[test]
fn invalid_chunks_are_rejected() {
    let service = without_delay();
    for chunks in ["zz\r\nabc\r\n", "3\r\nabcd\r\n", "-1\r\n", "fffffffffffffffff\r\na\r\n"] {
        let mut client = service.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: hasher\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        let response = String::from_utf8(client.remainder()).unwrap();
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 400"),
            "{chunks:?}: {response}"
        );
    }
    service.assert_alive();
}

/// The expected response of `POST /blocks/32`.
fn lines(body: &[u8]) -> String {
    body.chunks(32).map(|block| format!("{}\n", hex::encode(Sha256::digest(block)))).collect()
}

fn post_blocks(service: &Service, body: &[u8]) -> Response {
    Client::start(service.address, "POST /blocks/32", body).unwrap().finish().unwrap()
}

#[test]
fn each_block_of_a_batch_has_one_line() {
    let service = without_delay();
    let bytes: Vec<u8> = (0..3_200_000_u32).map(|n| (n ^ (n >> 7)) as u8).collect();
    for blocks in [0, 1, 2, 100, 2047, 2048, 2049, 100_000] {
        let body = &bytes[..32 * blocks];
        let response = post_blocks(&service, body);
        assert_eq!(response.status, 200);
        assert!(response.text() == lines(body), "{blocks} blocks");
        // The response to a longer batch begins before its working time is known.
        assert_eq!(response.header("server-timing").is_some(), blocks <= 2048, "{blocks} blocks");
        assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    }
    assert_eq!(post_blocks(&service, &[b'a'; 32]).text(), lines(&[b'a'; 32]));
    assert_eq!(post(service.address, &[b'a'; 32]).text(), lines(&[b'a'; 32]).trim_end());
}

#[test]
fn batches_accept_only_post() {
    let service = without_delay();
    for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
        let response = Client::request(service.address, method, "/blocks/32");
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn a_block_may_arrive_in_parts() {
    let service = without_delay();
    let mut client = service.connect();
    client.send("POST /blocks/32 HTTP/1.1\r\nHost: hasher\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in [1, 30, 1, 33, 31, 64] {
        client.send(format!("{piece:x}\r\n{}\r\n", "a".repeat(piece)));
        thread::sleep(Duration::from_millis(5));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), lines(&[b'a'; 160]));
}

#[test]
fn an_incomplete_block_is_rejected() {
    let service = without_delay();
    for length in [1, 31, 33, 3_199_999] {
        // The length alone is rejected; a client that continues to send may be disconnected.
        let mut client = service.connect();
        let head = "POST /blocks/32 HTTP/1.1\r\nHost: hasher\r\n";
        client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, 400, "{length}");
        assert_eq!(response.text(), "Please send blocks of 32 bytes.\n");
    }
    let head = "POST /blocks/32 HTTP/1.1\r\nHost: hasher\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = service.connect();
    client.send(format!("{head}2\r\nab\r\n0\r\n\r\n"));
    assert_eq!(client.response().status, 400);
    service.assert_alive();
}

#[test]
fn a_truncated_batch_truncates_its_response() {
    let service = without_delay();
    let mut client = service.connect();
    let length = 32 * 100_000;
    let head =
        format!("POST /blocks/32 HTTP/1.1\r\nHost: hasher\r\nContent-Length: {length}\r\n\r\n");
    client.send(head);
    client.send(vec![0; length / 2]);
    client.socket().shutdown(Half::Write).unwrap();
    let response = client.remainder();
    assert!(response.starts_with(b"HTTP/1.1 200"));
    assert!(response.len() < 65 * length / 32);
    let service = with_max_body(64);
    assert_eq!(post_blocks(&service, &[0; 96]).status, 413);
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let service = start(Duration::from_millis(10));
    let mut client = service.connect();
    let post =
        |length| format!("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: {length}\r\n\r\n");
    client.send(format!("{}abc{}{}abc", post(3), post(0), post(3)));
    let responses = [client.response().text(), client.response().text(), client.response().text()];
    assert_eq!(responses, [ABC, EMPTY, ABC]);
}

#[test]
fn incomplete_bodies_are_still_hashed_when_the_service_stops() {
    let service = start_with(&defaults());
    let mut half: Vec<Client> = (0..10).map(|_| service.connect()).collect();
    for client in &mut half {
        client.send("POST / HTTP/1.1\r\nHost: hasher\r\nContent-Length: 3\r\n\r\na");
    }
    thread::sleep(Duration::from_millis(100));
    service.stop();
    thread::sleep(Duration::from_millis(300));
    half.iter_mut().for_each(|client| client.send("bc"));
    assert!(service.drain(half).iter().all(|response| response.text() == ABC));
}

#[test]
fn hasher_listens_on_ipv6() {
    let ipv6 = (Ipv6Addr::LOCALHOST, 0).into();
    if std::net::TcpListener::bind(ipv6).is_err() {
        return testkit::skip("this host has no IPv6");
    }
    let shutdown = Shutdown::new(Duration::from_secs(3600));
    let router = |stop| hasher::router(&defaults(), stop);
    let service = Service::start_on(ipv6, Limits::default(), shutdown, router);
    assert_eq!(post(service.address, b"abc").text(), ABC);
}

fn program() -> Process {
    program_with(&[])
}

fn program_with(settings: &[(&str, &str)]) -> Process {
    let settings = [&[("DELAY", "0s")], settings].concat();
    Process::service(env!("CARGO_BIN_EXE_hasher"), &settings)
}

#[test]
fn faults_are_off_by_default() {
    let hasher = program();
    let (address, admin) = (hasher.address("LISTEN"), hasher.address("ADMIN_LISTEN"));
    assert!((0..50).all(|_| post(address, b"abc").status == 200));
    assert_eq!(Client::get(admin, "/readyz").status, 200);
    assert_eq!(Client::get(admin, "/faults").status, 404);
    assert_eq!(Client::request(admin, "POST", "/faults?errors=100").status, 404);
}

#[test]
fn a_fault_of_the_settings_is_there_from_the_start() {
    let hasher = program_with(&[("FAULT_ERRORS", "20%"), ("FAULT_NOT_READY", "on")]);
    let (address, admin) = (hasher.address("LISTEN"), hasher.address("ADMIN_LISTEN"));
    let failed = (0..10).filter(|_| post(address, b"abc").status == 500).count();
    assert_eq!(failed, 2);
    assert_eq!(Client::get(admin, "/readyz").status, 503);
    assert_eq!(Client::get(admin, "/healthz").status, 200);
    hasher.wait_for("faults on demand: errors=20% not_ready=on leak=0 B", TIMEOUT);
}

#[test]
fn faults_change_while_the_service_runs_if_the_settings_allow_it() {
    let hasher = program_with(&[("FAULT_ENDPOINT", "on")]);
    let (address, admin) = (hasher.address("LISTEN"), hasher.address("ADMIN_LISTEN"));
    let change = |query: &str| Client::request(admin, "POST", &format!("/faults?{query}"));
    assert_eq!(Client::get(admin, "/faults").text(), "errors=0% not_ready=off leak=0 B\n");
    assert_eq!(post(address, b"abc").status, 200);

    let changed = change("errors=100%25&not_ready=on&leak=1MiB");
    assert_eq!(changed.text(), "errors=100% not_ready=on leak=1.0 MiB\n");
    let before = resident(admin);
    for _ in 0..30 {
        let response = post(address, b"abc");
        assert_eq!(
            (response.status, response.text().as_str()),
            (500, "This is a fault on demand.\n")
        );
    }
    if cfg!(target_os = "linux") {
        assert!(resident(admin) - before > 20e6);
    }
    assert_eq!(Client::get(admin, "/readyz").status, 503);

    let refused = change("errors=0&delay=1s");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("no fault 'delay'"), "{}", refused.text());
    assert_eq!(post(address, b"abc").status, 500);
    change("errors=0&not_ready=off&leak=0");
    assert_eq!((post(address, b"abc").status, Client::get(admin, "/readyz").status), (200, 200));
}

fn resident(admin: SocketAddr) -> f64 {
    metrics(admin).get("process_resident_memory_bytes").copied().unwrap_or_default()
}

#[test]
fn metrics_report_the_program() {
    let metrics = metrics(program().address("ADMIN_LISTEN"));
    assert_eq!(metrics[&build("hasher")], 1.0);
}
