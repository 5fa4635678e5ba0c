//! Hostile and careless clients.

use std::{net::Shutdown as Half, thread, time::Instant};

use chassis::Limits;
use testkit::{Client, TIMEOUT};

use crate::{GET, LARGE, SHORT, no_limits, start};

#[test]
fn a_silent_connection_is_closed() {
    let service = start(Limits { first_byte: SHORT, ..no_limits() });
    assert!(service.connect().remainder().is_empty());
    service.assert_alive();
}

#[test]
fn an_endless_header_is_closed_although_bytes_keep_arriving() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut client = service.connect();
    client.send("GET / HTTP/1.1\r\nX-Slow: ");
    let deadline = Instant::now() + TIMEOUT;
    while client.try_send("a").is_ok() {
        assert!(Instant::now() < deadline, "still open");
        thread::sleep(SHORT / 10);
    }
    assert!(client.remainder().is_empty());
    service.assert_alive();
}

#[test]
fn an_idle_connection_is_closed_after_its_response() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut client = service.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "hello\n");
    assert!(client.remainder().is_empty());
    service.assert_alive();
}

#[test]
fn a_connection_is_kept_for_further_requests() {
    let service = start(no_limits());
    let mut client = service.connect();
    for _ in 0..3 {
        client.send(GET);
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let service = start(no_limits());
    let mut client = service.connect();
    let post = |body| format!("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n");
    client.send(format!("{}a{GET}{}aaa{GET}", post(1), post(3)));
    let responses: Vec<String> = (0..4).map(|_| client.response().text()).collect();
    assert_eq!(responses, ["1", "hello\n", "3", "hello\n"]);
    assert!(client.is_silent(SHORT));
}

#[test]
fn an_oversized_header_is_refused() {
    let service = start(Limits { header_bytes: 16 * 1024, ..no_limits() });
    let with_header =
        |size| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(1000));
    let long_uri = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));

    let mut client = service.connect();
    client.send(with_header(8 * 1024));
    assert_eq!(client.response().status, 200);

    for request in [with_header(17 * 1024), with_header(1 << 20), many_headers, long_uri] {
        let mut client = service.connect();
        // The service may close the connection meanwhile, and the response may be lost.
        let _ = client.try_send(request);
        let response = String::from_utf8(client.remainder()).unwrap();
        let refused = ["", "HTTP/1.1 431", "HTTP/1.1 414"];
        assert!(refused.contains(&response.get(..12).unwrap_or(&response)), "{response}");
    }
    service.assert_alive();
}

#[test]
fn garbage_is_refused() {
    let service = start(no_limits());
    for garbage in [
        &b"\x00\x01\x02\xff\xfe\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n",
        b"PRI\r\n\r\n",
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
        let response = String::from_utf8(client.remainder()).unwrap();
        let sent = String::from_utf8_lossy(garbage);
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 400"),
            "{sent:?}: {response}"
        );
    }
    service.assert_alive();
}

#[test]
fn a_client_that_has_sent_everything_still_gets_its_response() {
    let service = start(no_limits());
    let mut client = service.connect();
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    client.socket().shutdown(Half::Write).unwrap();
    assert!(client.remainder().starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_body_that_ends_early_is_not_accepted() {
    let service = start(no_limits());
    for head in ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"] {
        let mut client = service.connect();
        client.send(format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}half"));
        client.socket().shutdown(Half::Write).unwrap();
        let response = String::from_utf8(client.remainder()).unwrap();
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 400"), "{response}");
    }
    service.assert_alive();
}

#[test]
fn a_client_that_never_reads_is_closed() {
    let service = start(Limits { connections: 1, stalled_write: SHORT, ..no_limits() });
    let mut client = service.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // The only allowed connection is free again.
    service.assert_alive();
    assert!(client.remainder().len() < LARGE);
}

#[test]
fn a_client_that_reads_slowly_gets_the_whole_response() {
    let service = start(Limits { stalled_write: 10 * SHORT, ..no_limits() });
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
    assert!(started.elapsed() > 10 * SHORT, "read too fast for this test");
}

#[test]
fn connections_beyond_the_limit_wait() {
    let service = start(Limits { connections: 2, ..no_limits() });
    let mut first = service.connect();
    let mut second = service.connect();
    for client in [&mut first, &mut second] {
        client.send(GET);
        client.response();
    }
    let mut third = service.connect();
    third.send(GET);
    assert!(third.is_silent(SHORT));
    drop(first);
    assert_eq!(third.response().status, 200);
    second.send(GET);
    assert_eq!(second.response().status, 200);
}

#[test]
fn a_request_that_waits_for_its_response_exceeds_no_limit() {
    let limits =
        Limits { first_byte: SHORT, header: SHORT, stalled_write: SHORT, ..Limits::default() };
    let service = start(limits);
    assert_eq!(Client::get(service.address, "/late").status, 200);
}

/// Bytes of a request that are sent first; its other bytes follow later.
const HALF: usize = 10;

#[test]
fn half_a_pipelined_request_waits_for_its_other_half() {
    let service = start(no_limits());
    let mut client = service.connect();
    client.send([GET, &GET[..HALF]].concat());
    assert_eq!(client.response().text(), "hello\n");
    thread::sleep(2 * SHORT);
    client.send(&GET[HALF..]);
    assert_eq!(client.response().text(), "hello\n");
}

#[test]
fn a_header_after_a_response_has_the_same_time_limit_as_the_first() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut client = service.connect();
    client.send([GET, "GET / HTTP/1.1\r\nX-Slow: "].concat());
    assert_eq!(client.response().text(), "hello\n");
    let deadline = Instant::now() + TIMEOUT;
    while client.try_send("a").is_ok() {
        assert!(Instant::now() < deadline, "still open");
        thread::sleep(SHORT / 10);
    }
}

#[test]
fn the_remainder_of_an_unread_body_is_not_a_request() {
    let service = start(no_limits());
    let head = |path, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
    };
    // The remainder arrives after the response of `/`, and while `/unread` drops the request.
    for (path, sent) in [("/nowhere", "0123456789"), ("/unread", "")] {
        let mut client = service.connect();
        client.send(head(path, sent.len() + GET.len()) + sent);
        client.response();
        let _ = client.try_send(GET);
        assert!(client.is_silent(SHORT) || client.remainder().is_empty(), "{path}");
    }
}

#[test]
fn a_client_that_ends_after_half_a_greeting_is_closed_at_once() {
    let service = start(no_limits());
    let mut client = service.connect();
    client.send("P");
    client.socket().shutdown(Half::Write).unwrap();
    assert!(client.remainder().is_empty());
}

#[test]
fn pipelined_responses_wait_until_the_client_reads() {
    const REQUESTS: usize = 50_000;
    let service = start(no_limits());
    let mut client = service.connect();
    let mut socket = client.socket().try_clone().unwrap();
    let sending = thread::spawn(move || {
        let request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
        std::io::Write::write_all(&mut socket, request.repeat(REQUESTS).as_bytes()).unwrap();
    });
    thread::sleep(5 * SHORT);
    for number in 0..REQUESTS {
        assert_eq!(client.head().status, 200, "{number}");
    }
    sending.join().unwrap();
}
