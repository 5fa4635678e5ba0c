//! Batches: many units of work with one request to rng and one to hasher.

use std::{io::Write, net::TcpStream};

use testkit::Redis;

use crate::{
    TIMEOUT, eventually,
    peer::{self, Peer, Script, hash_blocks, hash_lines, ok, random_blocks},
    worker,
};

/// Units of work in a batch.
const BATCH: usize = 64;

/// Sends the hashes of a batch, and truncates every third response.
fn hash_or_truncate(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    if !peer.requests().is_multiple_of(3) {
        return hash_blocks(peer, body, stream);
    }
    let response = ok(hash_lines(body).as_bytes());
    let _ = stream.write_all(&response[..response.len() / 2]);
    false
}

#[test]
fn batches_are_counted_exactly_when_responses_are_truncated_and_redis_is_killed() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::open(random_blocks(BATCH)), Peer::open(hash_or_truncate));
    let settings = [
        ("BATCH", "64"),
        ("CONCURRENCY", "4"),
        ("CONNECTIONS", "keep-alive"),
        ("SHUTDOWN_TIMEOUT", "20s"),
        ("RETRY", "5ms"),
    ];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    for _ in 0..4 {
        let before = redis.hashes();
        eventually(TIMEOUT, "redis has more hashes", || redis.hashes() > before);
        redis.kill();
        redis.start_again();
    }
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert!(hasher.hashes() > 10 * BATCH as u64);
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), hasher.coins());
    assert!(worker.lines().iter().any(|line| line.contains("end of file")));
    assert!(worker.lines().iter().any(|line| line.contains("Coin found: 0")));
}

#[test]
fn a_batch_with_an_invalid_response_is_not_counted() {
    let Some(redis) = Redis::start() else { return };
    let changed = |change: fn(&mut Vec<u8>)| -> Box<dyn Script> {
        Box::new(move |_: &Peer, body: &[u8], stream: &mut TcpStream| {
            let mut bytes = hash_lines(body).into_bytes();
            change(&mut bytes);
            stream.write_all(&ok(&bytes)).is_ok()
        })
    };
    let not_hex = "something else came instead of 64 hex digits";
    let faults = [
        (changed(|bytes| bytes[1000] = b'g'), not_hex),
        (changed(|bytes| bytes[1000] = b'\n'), not_hex),
        (changed(|bytes| bytes.make_ascii_uppercase()), not_hex),
        (changed(|bytes| bytes[64] = b' '), not_hex),
        (changed(|bytes| bytes.truncate(65 * 63)), "4095 bytes came instead of 4160"),
        (changed(|bytes| bytes.push(b'0')), "more than 4160 bytes came"),
    ];
    let (rng, hasher) = (Peer::open(random_blocks(BATCH)), Peer::open(peer::hang));
    for (script, error) in faults {
        hasher.set_script(script);
        let settings = [("BATCH", "64"), ("CONNECTIONS", "keep-alive")];
        let worker = worker(&rng, &hasher, &redis.url(), &settings);
        worker.wait_for(error, TIMEOUT);
    }
    assert_eq!(redis.hashes(), 0);
    // This rng always sends the bytes of a single unit of work.
    let worker = worker(&Peer::rng(), &hasher, &redis.url(), &[("BATCH", "64")]);
    worker.wait_for("32 bytes came instead of 2048", TIMEOUT);
}

#[test]
fn a_hasher_without_batches_has_its_own_error() {
    let Some(redis) = Redis::start() else { return };
    let not_found = peer::only(*b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let (rng, hasher) = (Peer::open(random_blocks(BATCH)), Peer::open(not_found));
    let worker = worker(&rng, &hasher, &redis.url(), &[("BATCH", "64")]);
    worker.wait_for("status 404 Not Found; the original knows only BATCH=1", TIMEOUT);
}
