//! Shutdown of a worker, and its final flush.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use testkit::Redis;

use crate::{
    TIMEOUT, eventually,
    peer::{self, Peer},
    proxy::Proxy,
    worker,
};

/// An interval in which no flush is due during a test.
const NEVER: (&str, &str) = ("INTERVAL", "1h");

fn wait_until_requests_stop(hasher: &Peer) {
    let mut before = 0;
    eventually(TIMEOUT, "no further requests", || {
        std::thread::sleep(Duration::from_millis(200));
        std::mem::replace(&mut before, hasher.requests()) == hasher.requests()
    });
}

#[test]
fn the_last_hashes_are_flushed_on_sigterm_and_on_ctrl_c() {
    for by_ctrl_c in [false, true] {
        let Some(redis) = Redis::start() else { return };
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let mut worker = worker(&rng, &hasher, &redis.url(), &[NEVER]);
        eventually(TIMEOUT, "some work is done", || !hasher.coins().is_empty());
        assert_eq!(redis.hashes(), 0);
        if by_ctrl_c {
            worker.interrupt()
        } else {
            worker.terminate()
        }
        assert!(worker.wait(TIMEOUT).success());
        assert_eq!(redis.hashes(), hasher.hashes());
        assert_eq!(redis.wallet(), hasher.coins());
    }
}

#[test]
fn the_final_flush_waits_until_redis_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let mut worker = worker(&rng, &hasher, &redis.url(), &[NEVER, ("SHUTDOWN_TIMEOUT", "20s")]);
    eventually(TIMEOUT, "some work is done", || !hasher.coins().is_empty());
    redis.kill();
    worker.terminate();
    worker.wait_for("SIGTERM received", TIMEOUT);
    redis.start_again();
    assert!(worker.wait(TIMEOUT).success());
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn hashes_that_redis_does_not_acknowledge_in_time_are_logged_as_possibly_lost() {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [NEVER, ("SHUTDOWN_TIMEOUT", "1s")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(TIMEOUT, "some work is done", || !hasher.coins().is_empty());
    redis.kill();
    let start = Instant::now();
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    let (done, coins) = (hasher.hashes(), hasher.coins().len());
    let error = format!(
        " ERROR {done} hashes and {coins} coins may be lost: the store did not acknowledge them"
    );
    worker.wait_for(&error, TIMEOUT);
}

#[test]
fn without_time_for_a_final_flush_hashes_are_logged_as_possibly_lost_or_are_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let mut worker = worker(&rng, &hasher, &redis.url(), &[NEVER, ("SHUTDOWN_TIMEOUT", "0s")]);
    eventually(TIMEOUT, "some work is done", || hasher.hashes() > 0);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    let lines = worker.lines();
    let report = lines.iter().find(|line| line.contains(" lost"));
    let expected = format!(" ERROR {} hashes and ", hasher.hashes());
    match report {
        Some(line) => assert!(line.contains(&expected) && line.contains(" may be lost"), "{line}"),
        None => assert_eq!(redis.hashes(), hasher.hashes()),
    }
}

#[test]
fn a_redis_that_hangs_does_not_delay_the_shutdown() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let proxy = Proxy::start(redis.port(), || {});
    proxy.heal();
    let mut worker = worker(&rng, &hasher, &proxy.url(), &[("SHUTDOWN_TIMEOUT", "1s")]);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    proxy.freeze();
    // The loop waits for the flush, so its requests stop.
    wait_until_requests_stop(&hasher);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    worker.wait_for(" coins may be lost: the store did not acknowledge them within 1s", TIMEOUT);
}

/// Responds with hashes that are all coins, whatever the random bytes are.
fn all_coins(_: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    let lines = [&[b'0'; 64][..], b"\n"].concat().repeat(body.len() / 32);
    stream.write_all(&peer::ok(&lines)).is_ok()
}

#[test]
fn loops_without_room_for_coins_stop_together_while_redis_hangs() {
    let Some(redis) = Redis::start() else { return };
    let bytes = vec![7; 32 * 5000];
    let (rng, hasher) = (Peer::open(peer::only(peer::ok(&bytes))), Peer::open(all_coins));
    let proxy = Proxy::start(redis.port(), || {});
    proxy.heal();
    let settings = [("BATCH", "5000"), ("CONCURRENCY", "32"), ("SHUTDOWN_TIMEOUT", "1s")];
    let mut worker = worker(&rng, &hasher, &proxy.url(), &settings);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    proxy.freeze();
    // The loops stop when there is no room for more coins.
    wait_until_requests_stop(&hasher);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
}

#[test]
fn a_peer_that_hangs_or_a_long_pause_does_not_delay_the_shutdown() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let (silent_rng, silent_hasher) = (Peer::open(peer::hang), Peer::open(peer::hang));
    let closed = Peer::closed(peer::hang);
    let pause = ("DELAY", "1h");
    let retry = ("RETRY", "1h");
    let assert_ends =
        |rng: &Peer, hasher: &Peer, setting, is_waiting: &dyn Fn(&[String]) -> bool| {
            let mut worker = worker(rng, hasher, &redis.url(), &[setting]);
            eventually(TIMEOUT, "the worker waits", || is_waiting(&worker.lines()));
            worker.terminate();
            assert!(worker.wait(TIMEOUT).success());
        };
    let has_line =
        |text: &'static str| move |lines: &[String]| lines.iter().any(|line| line.contains(text));
    assert_ends(&rng, &hasher, pause, &has_line(" 0 units of work done"));
    assert_ends(&silent_rng, &hasher, retry, &|_| silent_rng.requests() > 0);
    assert_ends(&rng, &silent_hasher, retry, &|_| silent_hasher.requests() > 0);
    assert_ends(&closed, &hasher, retry, &has_line(" Waiting 1h and restarting."));
}
