//! What a worker does with its last counts.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use testkit::Redis;

use crate::{
    PATIENCE, eventually,
    peer::{self, Peer},
    proxy::Proxy,
    worker,
};

/// A report that never comes by itself.
const NEVER: (&str, &str) = ("INTERVAL", "1h");

fn wait_until_nothing_is_asked(hasher: &Peer) {
    let mut before = 0;
    eventually(PATIENCE, "the worker stands still", || {
        std::thread::sleep(Duration::from_millis(200));
        std::mem::replace(&mut before, hasher.requests()) == hasher.requests()
    });
}

#[test]
fn the_last_counts_are_reported_on_sigterm_and_on_ctrl_c() {
    for by_terminal in [false, true] {
        let Some(redis) = Redis::start() else { return };
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let mut worker = worker(&rng, &hasher, &redis.url(), &[NEVER]);
        eventually(PATIENCE, "some work is done", || !hasher.coins().is_empty());
        assert_eq!(redis.hashes(), 0);
        if by_terminal {
            worker.interrupt()
        } else {
            worker.terminate()
        }
        assert!(worker.wait(PATIENCE).success());
        assert_eq!(redis.hashes(), hasher.answered());
        assert_eq!(redis.wallet(), hasher.coins());
    }
}

#[test]
fn the_last_counts_wait_for_a_redis_that_comes_back() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let mut worker = worker(&rng, &hasher, &redis.url(), &[NEVER, ("SHUTDOWN_TIMEOUT", "20s")]);
    eventually(PATIENCE, "some work is done", || !hasher.coins().is_empty());
    redis.kill();
    worker.terminate();
    worker.wait_for("SIGTERM received", PATIENCE);
    redis.start_again();
    assert!(worker.wait(PATIENCE).success());
    assert_eq!(redis.hashes(), hasher.answered());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn what_redis_does_not_take_until_the_deadline_is_said_to_be_lost() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [NEVER, ("SHUTDOWN_TIMEOUT", "1s")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(PATIENCE, "some work is done", || !hasher.coins().is_empty());
    redis.kill();
    let start = Instant::now();
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let (done, coins) = (hasher.answered(), hasher.coins().len());
    let said = format!(" ERROR {done} hashes and {coins} coins are lost: no store took them");
    worker.wait_for(&said, PATIENCE);
}

#[test]
fn a_redis_that_hangs_does_not_hold_up_the_end() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let proxy = Proxy::start(redis.port(), || {});
    proxy.heal();
    let mut worker = worker(&rng, &hasher, &proxy.url(), &[("SHUTDOWN_TIMEOUT", "1s")]);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
    proxy.freeze();
    // All loops come to wait for the report.
    wait_until_nothing_is_asked(&hasher);
    let start = Instant::now();
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    worker.wait_for(" coins are lost: no store took them within 1s", PATIENCE);
}

/// Each hash is a coin, whatever the random bytes are.
fn all_coins(_: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    let lines = [&[b'0'; 64][..], b"\n"].concat().repeat(body.len() / 32);
    stream.write_all(&peer::ok(&lines)).is_ok()
}

#[test]
fn loops_that_wait_for_a_redis_that_hangs_end_together() {
    let Some(redis) = Redis::start() else { return };
    let bytes = vec![7; 32 * 5000];
    let (rng, hasher) = (Peer::open(peer::only(peer::ok(&bytes))), Peer::open(all_coins));
    let proxy = Proxy::start(redis.port(), || {});
    proxy.heal();
    let settings = [("BATCH", "5000"), ("CONCURRENCY", "32"), ("SHUTDOWN_TIMEOUT", "1s")];
    let mut worker = worker(&rng, &hasher, &proxy.url(), &settings);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
    proxy.freeze();
    // There is no room for more coins.
    wait_until_nothing_is_asked(&hasher);
    let start = Instant::now();
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_peer_that_hangs_or_a_long_pause_does_not_hold_up_the_end() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let (silent_rng, silent_hasher) = (Peer::open(peer::hang), Peer::open(peer::hang));
    let closed = Peer::closed(peer::hang);
    let pause = ("DELAY", "1h");
    let retry = ("RETRY", "1h");
    let ends = |rng: &Peer, hasher: &Peer, setting, waits: &dyn Fn(&[String]) -> bool| {
        let mut worker = worker(rng, hasher, &redis.url(), &[setting]);
        eventually(PATIENCE, "the worker waits", || waits(&worker.lines()));
        let start = Instant::now();
        worker.terminate();
        assert!(worker.wait(PATIENCE).success());
        assert!(start.elapsed() < Duration::from_secs(2), "{setting:?}: {:?}", start.elapsed());
    };
    let says =
        |text: &'static str| move |lines: &[String]| lines.iter().any(|line| line.contains(text));
    ends(&rng, &hasher, pause, &says(" 0 units of work done"));
    ends(&silent_rng, &hasher, retry, &|_| silent_rng.requests() > 0);
    ends(&rng, &silent_hasher, retry, &|_| silent_hasher.requests() > 0);
    ends(&closed, &hasher, retry, &says(" Waiting 1h and restarting."));
}
