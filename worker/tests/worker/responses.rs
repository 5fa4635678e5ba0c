//! Correct responses in every form that HTTP/1.1 allows, and connections that close at any time.

use std::{
    collections::HashSet,
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use testkit::Redis;

use crate::{
    TIMEOUT, eventually,
    peer::{Peer, Script},
    worker,
};

/// The random bytes that these rngs send.
const BYTES: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// Sends these parts one after the other; then the connection stays open or closes.
fn parts(parts: &[&[u8]], stays_open: bool) -> Box<dyn Script> {
    let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    Box::new(move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        for part in &parts {
            if stream.write_all(part).is_err() {
                return false;
            }
            // The pause makes each part arrive separately.
            thread::sleep(Duration::from_millis(2));
        }
        stays_open
    })
}

#[test]
fn pooled_connections_accept_every_valid_form_of_a_response() {
    let Some(redis) = Redis::start() else { return };
    let (first, second) = BYTES.split_at(5);
    let whole = [b"HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\n", &BYTES[..]].concat();
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    let chunked: [&[u8]; 8] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;kind=first\r\n",
        first,
        b"\r\n1b",
        b"\r",
        b"\n",
        second,
        b"\r\n0\r\nTrailer: there\r\n",
        b"\r\n",
    ];
    let forms = [
        ("byte by byte", parts(&bytes, true)),
        ("in chunks", parts(&chunked, true)),
        (
            "after early hints",
            parts(&[b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", &whole], true),
        ),
        ("HTTP/1.0", parts(&[b"HTTP/1.0 200 OK\r\n\r\n", BYTES], false)),
        (
            "without a length",
            parts(&[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", BYTES], false),
        ),
    ];
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let mut worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "keep-alive")]);
    for (form, script) in forms {
        rng.set_script(script);
        let before = redis.hashes();
        eventually(TIMEOUT, form, || redis.hashes() > before + 10);
    }
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
    assert_eq!(redis.hashes(), hasher.hashes());
}

#[test]
fn a_connection_is_reused_only_if_the_response_permits_it() {
    let Some(redis) = Redis::start() else { return };
    let response = |first: &str, headers: &str, end: &str| {
        let head = format!("{first} 200 OK\r\nContent-Length: 32\r\n{headers}\r\n");
        [head.as_bytes(), BYTES, end.as_bytes()].concat()
    };
    let chunked =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n";
    let two_lengths = [&chunked[..], BYTES, b"\r\n0\r\n\r\n"].concat();
    for (name, bytes, is_reused) in [
        ("plain", response("HTTP/1.1", "", ""), true),
        ("with extra bytes", response("HTTP/1.1", "", "HTTP/1.1 "), false),
        ("with close", response("HTTP/1.1", "Connection: keep-open, Close\r\n", ""), false),
        ("HTTP/1.0", response("HTTP/1.0", "", ""), false),
        ("with two lengths", two_lengths, false),
    ] {
        let clients = Arc::new(Mutex::new(HashSet::new()));
        let seen = clients.clone();
        let rng = Peer::open(move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
            seen.lock().unwrap().insert(stream.peer_addr().unwrap());
            stream.write_all(&bytes).is_ok()
        });
        let settings = [("CONNECTIONS", "keep-alive")];
        let mut worker = worker(&rng, &Peer::hasher(), &redis.url(), &settings);
        let before = redis.hashes();
        eventually(TIMEOUT, name, || redis.hashes() >= before + 20);
        worker.terminate();
        assert!(worker.wait(TIMEOUT).success());
        let lines = worker.lines();
        assert!(!lines.iter().any(|line| line.contains("ERROR")), "{name}: {lines:#?}");
        // The thread of a connection may end a moment after the worker.
        let expected = || if is_reused { 1 } else { rng.requests() };
        eventually(TIMEOUT, name, || clients.lock().unwrap().len() as u64 == expected());
    }
}

#[test]
fn a_pooled_connection_that_closes_before_its_response_is_replaced() {
    let Some(redis) = Redis::start() else { return };
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let connections = seen.clone();
    // Each connection sends one response, and closes after it has received the next request.
    let respond_once = move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        seen.lock().unwrap().insert(stream.peer_addr().unwrap())
            && crate::peer::hash(peer, body, stream)
    };
    let (rng, hasher) = (Peer::rng(), Peer::open(respond_once));
    let mut worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "keep-alive")]);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 20);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
    assert_eq!(redis.hashes(), hasher.hashes());
    assert!(hasher.requests() > connections.lock().unwrap().len() as u64);
}
