//! Right answers in any form that HTTP/1.1 allows, and connections that end at any time.

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
    PATIENCE, eventually,
    peer::{Peer, Script},
    worker,
};

/// The random bytes of these rngs.
const BYTES: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// Sends these pieces one after the other; then the connection stays open, or not.
fn pieces(pieces: &[&[u8]], stays: bool) -> Box<dyn Script> {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    Box::new(move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        for piece in &pieces {
            if stream.write_all(piece).is_err() {
                return false;
            }
            // Each comes alone.
            thread::sleep(Duration::from_millis(2));
        }
        stays
    })
}

#[test]
fn an_answer_may_have_many_forms_over_kept_connections() {
    let Some(redis) = Redis::start() else { return };
    let (first, rest) = BYTES.split_at(5);
    let whole = [b"HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\n", &BYTES[..]].concat();
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    let chunked: [&[u8]; 8] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;kind=first\r\n",
        first,
        b"\r\n1b",
        b"\r",
        b"\n",
        rest,
        b"\r\n0\r\nTrailer: there\r\n",
        b"\r\n",
    ];
    let forms = [
        ("byte by byte", pieces(&bytes, true)),
        ("in chunks", pieces(&chunked, true)),
        ("after a hint", pieces(&[b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", &whole], true)),
        ("of HTTP/1.0", pieces(&[b"HTTP/1.0 200 OK\r\n\r\n", BYTES], false)),
        ("to the end", pieces(&[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", BYTES], false)),
    ];
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let mut worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "keep-alive")]);
    for (form, script) in forms {
        rng.turn(script);
        let before = redis.hashes();
        eventually(PATIENCE, form, || redis.hashes() > before + 10);
    }
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
    assert_eq!(redis.hashes(), hasher.answered());
}

#[test]
fn a_connection_is_used_again_only_where_nothing_speaks_against_it() {
    let Some(redis) = Redis::start() else { return };
    let answer = |first: &str, headers: &str, end: &str| {
        let head = format!("{first} 200 OK\r\nContent-Length: 32\r\n{headers}\r\n");
        [head.as_bytes(), BYTES, end.as_bytes()].concat()
    };
    let chunked =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n";
    let both = [&chunked[..], BYTES, b"\r\n0\r\n\r\n"].concat();
    for (name, bytes, is_kept) in [
        ("plain", answer("HTTP/1.1", "", ""), true),
        ("with more behind it", answer("HTTP/1.1", "", "HTTP/1.1 "), false),
        ("that says close", answer("HTTP/1.1", "Connection: keep-open, Close\r\n", ""), false),
        ("of HTTP/1.0", answer("HTTP/1.0", "", ""), false),
        ("of two lengths", both, false),
    ] {
        let clients = Arc::new(Mutex::new(HashSet::new()));
        let known = clients.clone();
        let rng = Peer::open(move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
            known.lock().unwrap().insert(stream.peer_addr().unwrap());
            stream.write_all(&bytes).is_ok()
        });
        let settings = [("CONNECTIONS", "keep-alive"), ("HASHES", "20"), ("EXPECT", "errors=0")];
        let mut load = worker(&rng, &Peer::hasher(), &redis.url(), &settings);
        assert!(load.wait(PATIENCE).success(), "{name}: {:#?}", load.lines());
        let expected = if is_kept { 1 } else { rng.requests() };
        assert_eq!(clients.lock().unwrap().len() as u64, expected, "{name}");
    }
}

#[test]
fn a_kept_connection_that_ends_instead_of_an_answer_is_replaced() {
    let Some(redis) = Redis::start() else { return };
    let known = Arc::new(Mutex::new(HashSet::new()));
    let asked_twice = known.clone();
    // Each connection is good for one answer, and hears the next question before it ends.
    let once = move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        known.lock().unwrap().insert(stream.peer_addr().unwrap())
            && crate::peer::hash(peer, body, stream)
    };
    let (rng, hasher) = (Peer::rng(), Peer::open(once));
    let mut worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "keep-alive")]);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 20);
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
    assert_eq!(redis.hashes(), hasher.answered());
    assert!(hasher.requests() > asked_twice.lock().unwrap().len() as u64);
}
