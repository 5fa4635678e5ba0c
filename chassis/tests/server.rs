//! The server over real sockets: what hostile clients cannot do, and what nobody loses at the end.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, reason = "each crate needs a part of it")]
mod service;

use std::{
    future::pending,
    net::{Ipv4Addr, Ipv6Addr, Shutdown as Half, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use chassis::{Limits, Shutdown};
use testkit::http;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::{Client, Service, anywhere, ask, header};

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);
/// A test that waits this long has failed, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGE: usize = 32 * 1024 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
const GET_WAIT: &str = "GET /wait HTTP/1.1\r\nHost: here\r\n\r\n";

/// No limit but those that a test sets.
fn patient() -> Limits {
    Limits { first_byte: HOUR, header: HOUR, stalled_write: HOUR, ..Limits::default() }
}

fn router(stop: CancellationToken) -> Router {
    let wait = async move || {
        chassis::simulate(HOUR, &stop).await;
        "waited\n"
    };
    Router::new()
        .route("/", get(async || "hello\n"))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/late", get(async || sleep(5 * SHORT).await))
        .route("/wait", get(wait))
        .route("/stuck", get(pending::<()>))
        .route("/large", get(async || vec![0_u8; LARGE]))
}

fn start(limits: Limits) -> Service {
    Service::start(limits, router)
}

fn start_with_timeout(timeout: Duration) -> Service {
    Service::start_on(anywhere(), patient(), Shutdown::new(timeout), router)
}

// Hostile and careless clients.

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let service = start(Limits { first_byte: SHORT, ..patient() });
    assert!(service.connect().rest().is_empty());
    service.assert_alive();
}

#[test]
fn a_header_that_never_ends_is_closed_however_busily_it_comes() {
    let service = start(Limits { header: SHORT, ..patient() });
    let mut client = service.connect();
    client.send("GET / HTTP/1.1\r\nX-Slow: ");
    let deadline = Instant::now() + PATIENCE;
    while client.try_send("a").is_ok() {
        assert!(Instant::now() < deadline, "still open");
        thread::sleep(SHORT / 10);
    }
    assert!(client.rest().is_empty());
    service.assert_alive();
}

#[test]
fn an_idle_connection_is_closed_after_its_answer() {
    let service = start(Limits { header: SHORT, ..patient() });
    let mut client = service.connect();
    client.send(GET);
    assert_eq!(client.answer().text(), "hello\n");
    assert!(client.rest().is_empty());
    service.assert_alive();
}

#[test]
fn a_connection_is_kept_for_further_requests() {
    let service = start(patient());
    let mut client = service.connect();
    for _ in 0..3 {
        client.send(GET);
        let answer = client.answer();
        assert_eq!((answer.status, header(&answer, "connection")), (200, None));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let service = start(patient());
    let mut client = service.connect();
    let post = |body| format!("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n");
    client.send(format!("{}a{GET}{}aaa{GET}", post(1), post(3)));
    let answers: Vec<String> = (0..4).map(|_| client.answer().text()).collect();
    assert_eq!(answers, ["1", "hello\n", "3", "hello\n"]);
    assert!(client.is_silent(SHORT));
}

#[test]
fn an_oversized_header_is_refused() {
    let service = start(Limits { header_bytes: 16 * 1024, ..patient() });
    let with_header =
        |size| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(1000));
    let long_uri = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));

    let mut client = service.connect();
    client.send(with_header(8 * 1024));
    assert_eq!(client.answer().status, 200);

    for request in [with_header(17 * 1024), with_header(1 << 20), many_headers, long_uri] {
        let mut client = service.connect();
        // The service may hang up in the middle of it, and the answer may be lost with that.
        let _ = client.try_send(request);
        let answer = String::from_utf8(client.rest()).unwrap();
        let refused = ["", "HTTP/1.1 431", "HTTP/1.1 414"];
        assert!(refused.contains(&answer.get(..12).unwrap_or(&answer)), "{answer}");
    }
    service.assert_alive();
}

#[test]
fn garbage_is_refused() {
    let service = start(patient());
    for garbage in [
        &b"\x00\x01\x02\xff\xfe\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /length HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /length HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"POST /length HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\n",
        b"POST /length HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
    ] {
        let mut client = service.connect();
        let _ = client.try_send(garbage);
        let answer = String::from_utf8(client.rest()).unwrap();
        let sent = String::from_utf8_lossy(garbage);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{sent:?}: {answer}");
    }
    service.assert_alive();
}

#[test]
fn a_client_that_has_said_everything_is_still_answered() {
    let service = start(patient());
    let mut client = service.connect();
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    client.socket().shutdown(Half::Write).unwrap();
    assert!(client.rest().starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_body_cut_short_is_not_taken_for_a_whole_one() {
    let service = start(patient());
    for head in ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"] {
        let mut client = service.connect();
        client.send(format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}half"));
        client.socket().shutdown(Half::Write).unwrap();
        let answer = String::from_utf8(client.rest()).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    service.assert_alive();
}

#[test]
fn a_reader_that_never_reads_is_cut() {
    let service = start(Limits { connections: 1, stalled_write: SHORT, ..patient() });
    let mut client = service.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // The only connection there may be is free again.
    service.assert_alive();
    assert!(client.rest().len() < LARGE);
}

#[test]
fn a_reader_that_is_merely_slow_gets_everything() {
    let service = start(Limits { stalled_write: 10 * SHORT, ..patient() });
    let mut client = service.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let started = Instant::now();
    let mut received = 0;
    let mut buffer = vec![0; 512 * 1024];
    while received < LARGE {
        let read = client.read(&mut buffer);
        assert_ne!(read, 0, "cut after {received} bytes");
        received += read;
        thread::sleep(SHORT * read as u32 / buffer.len() as u32 / 4);
    }
    assert!(started.elapsed() > 10 * SHORT, "read too fast to show anything");
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let service = start(Limits { connections: 2, ..patient() });
    let mut first = service.connect();
    let mut second = service.connect();
    for client in [&mut first, &mut second] {
        client.send(GET);
        client.answer();
    }
    let mut third = service.connect();
    third.send(GET);
    assert!(third.is_silent(SHORT));
    drop(first);
    assert_eq!(third.answer().status, 200);
    second.send(GET);
    assert_eq!(second.answer().status, 200);
}

#[test]
fn a_request_that_waits_for_its_answer_outlives_every_limit() {
    let limits =
        Limits { first_byte: SHORT, header: SHORT, stalled_write: SHORT, ..Limits::default() };
    let service = start(limits);
    assert_eq!(http::get(service.address, "/late").status, 200);
}

// Listening.

#[test]
fn one_listener_takes_ipv6_and_ipv4() {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let service = Service::start_on(all, patient(), Shutdown::new(HOUR), router);
    let port = service.address.port();
    assert_eq!(http::get((Ipv4Addr::LOCALHOST, port).into(), "/").status, 200);
    if service.address.is_ipv4() {
        return testkit::skip("this host has no IPv6");
    }
    assert_eq!(http::get((Ipv6Addr::LOCALHOST, port).into(), "/").status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_setting() {
    let taken = chassis::listen("LISTEN", anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = chassis::listen("ADMIN_LISTEN", address).unwrap_err().to_string();
    assert!(error.contains(&format!("ADMIN_LISTEN: cannot listen on {address}")), "{error}");
    assert!(error.contains("already in use") && !error.contains('\n'), "{error}");
}

#[test]
fn a_port_can_be_listened_on_again_at_once() {
    let service = start(patient());
    let address = service.address;
    let mut client = service.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // Closed by the service first, so the kernel keeps its end of the connection for a while.
    client.rest();
    drop(client);
    service.stop();
    service.wait(PATIENCE);
    let again = Service::start_on(address, patient(), Shutdown::new(HOUR), router);
    again.assert_alive();
}

// Draining.

#[test]
fn everything_accepted_is_answered_when_the_service_stops() {
    let service = start(patient());
    let mut waiting: Vec<Client> = (0..50).map(|_| service.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(waiting[0].is_silent(SHORT));
    service.stop();
    for client in &mut waiting {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "waited\n"));
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert!(client.rest().is_empty());
    }
    let address = service.address;
    service.wait(PATIENCE);
    assert!(TcpStream::connect(address).is_err(), "the listener is still open");
}

#[test]
fn connections_beyond_the_limit_are_answered_when_the_service_stops() {
    let service = start(Limits { connections: 1, ..patient() });
    let mut clients: Vec<Client> = (0..20).map(|_| service.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(clients[0].is_silent(SHORT));
    service.stop();
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
    service.wait(PATIENCE);
}

// On one thread, nothing is served between the lines below.
#[tokio::test]
async fn a_burst_right_before_the_stop_is_answered() {
    let listener = chassis::listen("LISTEN", anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    let router = router(shutdown.stop.clone());
    let server = tokio::spawn(chassis::serve(listener, router, patient(), shutdown.clone()));
    tokio::task::yield_now().await;

    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    clients[..25].iter_mut().for_each(|client| client.send(GET));
    shutdown.begin();
    clients[25..].iter_mut().for_each(|client| client.send(GET));
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.status, header(&answer, "connection")), (200, Some("close")));
    }
}

#[tokio::test]
async fn a_request_on_its_way_when_the_service_stops_is_answered() {
    let listener = chassis::listen("LISTEN", anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    let router = router(shutdown.stop.clone());
    let server = tokio::spawn(chassis::serve(listener, router, patient(), shutdown.clone()));

    let mut silent = Client::connect(address);
    let mut idle = Client::connect(address);
    idle.send(GET);
    let mut idle = tokio::task::spawn_blocking(move || {
        idle.answer();
        idle
    })
    .await
    .unwrap();
    shutdown.begin();
    // The server sees the stop before it can see a request.
    tokio::task::yield_now().await;
    for client in [&mut silent, &mut idle] {
        client.send(GET);
    }
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
    for mut client in [silent, idle] {
        let answer = client.answer();
        assert_eq!((answer.status, header(&answer, "connection")), (200, Some("close")));
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let service = start(patient());
    let mut silent = service.connect();
    let mut idle = service.connect();
    idle.send(GET);
    idle.answer();
    service.stop();
    assert!(silent.rest().is_empty());
    assert!(idle.rest().is_empty());
    service.wait(PATIENCE);
}

#[test]
fn what_is_stuck_is_cut_when_the_time_is_over() {
    let service = start_with_timeout(SHORT);
    let mut stuck = service.connect();
    stuck.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut greedy = service.connect();
    greedy.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(greedy.head().status, 200);
    let mut endless = service.connect();
    endless.send("GET / HTTP/1.1\r\nX: ");
    assert!(stuck.is_silent(SHORT));
    service.stop();
    service.wait(PATIENCE);
    assert!(stuck.rest().is_empty());
    assert!(greedy.rest().len() < LARGE);
    assert!(endless.rest().is_empty());
}

#[test]
fn half_a_first_request_does_not_hold_up_the_end() {
    let service = start(patient());
    let mut half = service.connect();
    half.send("GET / HT");
    assert!(half.is_silent(SHORT));
    service.stop();
    service.wait(PATIENCE);
    assert!(half.rest().is_empty());
}

// Readiness.

#[test]
fn a_service_that_is_no_longer_ready_still_answers() {
    let service = start(patient());
    assert_eq!(header(&ask(service.address, "GET", "/"), "connection"), None);
    service.shutdown.withdraw();
    for path in ["/", "/nowhere"] {
        let answer = ask(service.address, "GET", path);
        assert_eq!(answer.status, if path == "/" { 200 } else { 404 });
        assert_eq!(header(&answer, "connection"), Some("close"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_to_the_very_end() {
    let listener = chassis::listen("ADMIN_LISTEN", anywhere()).unwrap();
    let admin = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    let registry = chassis::registry("test", "1.2.3");
    chassis::serve_admin(listener, "1.2.3", registry, &shutdown);
    let status = |path| http::get(admin, path).status;

    assert_eq!(http::get(admin, "/version").text(), "1.2.3\n");
    assert_eq!(status("/nowhere"), 404);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    shutdown.withdraw();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.begin();
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    assert_eq!(http::get(admin, "/healthz").text(), "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_metrics_text_and_say_which_program_this_is() {
    let listener = chassis::listen("ADMIN_LISTEN", anywhere()).unwrap();
    let admin = listener.local_addr().unwrap();
    let registry = chassis::registry("test", "1.2.3");
    chassis::serve_admin(listener, "1.2.3", registry, &Shutdown::new(HOUR));

    let metrics = http::get(admin, "/metrics");
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(header(&metrics, "content-type"), Some(media_type));
    let text = metrics.text();
    assert!(text.contains("# TYPE dockercoins_build info\n"), "{text}");
    assert!(
        text.contains("dockercoins_build_info{service=\"test\",version=\"1.2.3\"} 1\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
}
