//! Hostile and careless clients.

use std::{net::Shutdown as Half, thread, time::Instant};

use chassis::Limits;
use testkit::{PATIENCE, http};

use crate::{GET, LARGE, SHORT, patient, start};

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
        assert_eq!((answer.status, answer.header("connection")), (200, None));
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
