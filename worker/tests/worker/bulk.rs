//! Batches: many units of work by one request to rng and one to hasher.

use std::{io::Write, net::TcpStream};

use sha2::{Digest, Sha256};
use testkit::Redis;

use crate::{
    PATIENCE, eventually,
    peer::{self, Peer, Script, ok},
    worker,
};

/// Units of work in a batch.
const BATCH: usize = 64;

/// The random bytes of a batch.
fn random_bytes(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    let bytes: Vec<u8> = (0..BATCH * 32).map(|_| rand::random()).collect();
    stream.write_all(&ok(&bytes)).is_ok()
}

fn lines(body: &[u8]) -> String {
    body.chunks(32).map(|block| format!("{}\n", hex::encode(Sha256::digest(block)))).collect()
}

/// The hashes of a batch.
fn hash(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    for block in body.chunks(32) {
        peer.enter(block);
    }
    stream.write_all(&ok(lines(body).as_bytes())).is_ok()
}

/// Every third answer ends half way.
fn hash_or_half(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    if !peer.requests().is_multiple_of(3) {
        return hash(peer, body, stream);
    }
    let answer = ok(lines(body).as_bytes());
    let _ = stream.write_all(&answer[..answer.len() / 2]);
    false
}

#[test]
fn batches_are_counted_exactly_when_answers_end_half_way_and_redis_is_killed() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::open(random_bytes), Peer::open(hash_or_half));
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
        eventually(PATIENCE, "redis has more hashes", || redis.hashes() > before);
        redis.kill();
        redis.start_again();
    }
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(hasher.answered() > 10 * BATCH as u64);
    assert_eq!(redis.hashes(), hasher.answered());
    assert_eq!(redis.wallet(), hasher.coins());
    assert!(worker.lines().iter().any(|line| line.contains("end of file")));
    assert!(worker.lines().iter().any(|line| line.contains("Coin found: 0")));
}

#[test]
fn a_batch_with_one_wrong_hash_counts_nothing() {
    let Some(redis) = Redis::start() else { return };
    let wrong = |change: fn(&mut Vec<u8>)| -> Box<dyn Script> {
        Box::new(move |_: &Peer, body: &[u8], stream: &mut TcpStream| {
            let mut bytes = lines(body).into_bytes();
            change(&mut bytes);
            stream.write_all(&ok(&bytes)).is_ok()
        })
    };
    let not_hex = "something else came instead of 64 hex digits";
    let faults = [
        (wrong(|bytes| bytes[1000] = b'g'), not_hex),
        (wrong(|bytes| bytes[1000] = b'\n'), not_hex),
        (wrong(|bytes| bytes.make_ascii_uppercase()), not_hex),
        (wrong(|bytes| bytes[64] = b' '), not_hex),
        (wrong(|bytes| bytes.truncate(65 * 63)), "4095 bytes came instead of 4160"),
        (wrong(|bytes| bytes.push(b'0')), "more than 4160 bytes came"),
    ];
    let (rng, hasher) = (Peer::open(random_bytes), Peer::open(peer::hang));
    for (script, complaint) in faults {
        hasher.turn(script);
        let settings = [("BATCH", "64"), ("CONNECTIONS", "keep-alive")];
        let worker = worker(&rng, &hasher, &redis.url(), &settings);
        worker.wait_for(complaint, PATIENCE);
    }
    assert_eq!(redis.hashes(), 0);
    // An rng that is not asked for a batch's bytes has the wrong number of them.
    let worker = worker(&Peer::rng(), &hasher, &redis.url(), &[("BATCH", "64")]);
    worker.wait_for("32 bytes came instead of 2048", PATIENCE);
}

#[test]
fn a_load_of_batches_counts_hashes() {
    let Some(redis) = Redis::start() else { return };
    for (settings, hashes) in [
        (&[("HASHES", "200")][..], 256),
        (&[("DURATION", "1s"), ("RATE", "640"), ("CONCURRENCY", "4")], 640),
    ] {
        let before = redis.hashes();
        let (rng, hasher) = (Peer::open(random_bytes), Peer::open(hash));
        let expected = format!("hashes={hashes},not_done=0,errors=0");
        let own = [("BATCH", "64"), ("EXPECT", expected.as_str())];
        let mut load = worker(&rng, &hasher, &redis.url(), &[&own, settings].concat());
        assert!(load.wait(PATIENCE).success(), "{:#?}", load.lines());
        assert_eq!((redis.hashes() - before, hasher.answered()), (hashes, hashes));
    }
}

#[test]
fn a_hasher_that_knows_no_batches_is_told_from_one_that_is_lost() {
    let Some(redis) = Redis::start() else { return };
    let unknown = peer::only(*b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let (rng, hasher) = (Peer::open(random_bytes), Peer::open(unknown));
    let worker = worker(&rng, &hasher, &redis.url(), &[("BATCH", "64")]);
    worker.wait_for("status 404 Not Found; the original knows only BATCH=1", PATIENCE);
}
