//! Redis counts exactly the hashes that were computed, whatever happens between worker and redis.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use testkit::Redis;

use crate::{TIMEOUT, eventually, peer::Peer, proxy::Proxy, worker};

/// How often redis is killed.
const KILLS: u32 = 12;

/// How many replies of redis are lost.
const LOSSES: u64 = 60;

#[test]
fn one_loop_counts_exactly_while_redis_is_killed_repeatedly() {
    mine_while_redis_is_killed("1");
}

#[test]
fn eight_loops_count_exactly_while_redis_is_killed_repeatedly() {
    mine_while_redis_is_killed("8");
}

#[test]
fn only_hashes_with_the_configured_prefix_are_coins() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("COIN_PREFIX", "0a"), ("CONNECTIONS", "keep-alive")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(TIMEOUT, "many hashes", || redis.hashes() >= 3000);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    let (coins, others): (Vec<_>, Vec<_>) =
        hasher.coins().into_iter().partition(|(hash, _)| hash.starts_with("0a"));
    assert!(!coins.is_empty() && others.len() > coins.len());
    assert_eq!((redis.wallet(), redis.hashes()), (coins, hasher.hashes()));
}

fn mine_while_redis_is_killed(concurrency: &str) {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("CONCURRENCY", concurrency), ("SHUTDOWN_TIMEOUT", "20s")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    for _ in 0..KILLS {
        let before = redis.hashes();
        eventually(TIMEOUT, "redis has more hashes", || redis.hashes() > before);
        redis.kill();
        // Meanwhile the worker continues to mine and notices that redis is unreachable.
        thread::sleep(Duration::from_millis(60));
        redis.start_again();
    }
    wait_for_many_hashes(&hasher);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    let errors = worker.lines().iter().filter(|line| line.contains(&redis.name())).count();
    assert!(errors > 0, "the worker never noticed:\n{}", worker.lines().join("\n"));
    assert_exact(&redis, &hasher);
}

#[test]
fn one_loop_counts_exactly_while_replies_of_redis_are_lost() {
    mine_while_replies_are_lost("1");
}

#[test]
fn eight_loops_count_exactly_while_replies_of_redis_are_lost() {
    mine_while_replies_are_lost("8");
}

fn mine_while_replies_are_lost(concurrency: &str) {
    let Some(redis) = Redis::start() else { return };
    let hasher = mine_through(&Proxy::start(redis.port(), || {}), concurrency);
    assert_exact(&redis, &hasher);
}

#[test]
fn a_flush_that_arrives_after_its_retry_and_later_flushes_counts_once() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::late(redis.port());
    let hasher = mine_through(&proxy, "8");
    eventually(TIMEOUT, "the delivery of all flushes", || !proxy.is_delivering());
    assert_exact(&redis, &hasher);
}

#[test]
fn without_sequence_numbers_a_flush_whose_reply_is_lost_counts_twice() {
    let Some(redis) = Redis::start() else { return };
    // Redis loses the sequence numbers with every lost reply, as if they did not exist.
    let port = redis.port();
    let proxy = Proxy::start(port, move || delete_sequence_numbers(port));
    let hasher = mine_through(&proxy, "1");
    let (counted, done) = (redis.hashes(), hasher.hashes());
    assert!(counted > done, "{counted} counted, {done} done");
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn a_plain_increment_that_is_retried_counts_twice() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::start(redis.port(), || {});
    let mut sent = 0;
    while proxy.lost() < 10 {
        sent += 1;
        while increment(proxy.address()).is_none() {}
    }
    assert_eq!(redis.hashes(), sent + proxy.lost());
}

/// Runs a worker until many replies are lost, and returns its hasher.
fn mine_through(proxy: &Proxy, concurrency: &str) -> Peer {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("CONCURRENCY", concurrency), ("SHUTDOWN_TIMEOUT", "20s")];
    let mut worker = worker(&rng, &hasher, &proxy.url(), &settings);
    eventually(TIMEOUT, "many lost replies", || proxy.lost() >= LOSSES);
    wait_for_many_hashes(&hasher);
    // The reply to the last flush may be among the lost ones.
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    hasher
}

fn wait_for_many_hashes(hasher: &Peer) {
    eventually(TIMEOUT, "many hashes and a coin", || {
        hasher.hashes() > 100 && !hasher.coins().is_empty()
    });
}

fn assert_exact(redis: &Redis, hasher: &Peer) {
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), hasher.coins());
}

fn delete_sequence_numbers(port: u16) {
    const DELETE: &str = "for _, key in ipairs(redis.call('KEYS', 'dockercoins:flush:*')) do redis.call('DEL', key) end";
    let mut redis = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = DELETE.len();
    write!(redis, "*3\r\n$4\r\nEVAL\r\n${length}\r\n{DELETE}\r\n$1\r\n0\r\n").unwrap();
    assert!(redis.read(&mut [0; 64]).unwrap() > 0);
}

/// Counts one hash without a sequence number. Returns none if the reply is lost.
fn increment(address: SocketAddr) -> Option<()> {
    let mut redis = TcpStream::connect(address).unwrap();
    redis.write_all(b"*3\r\n$6\r\nINCRBY\r\n$6\r\nhashes\r\n$1\r\n1\r\n").ok()?;
    matches!(redis.read(&mut [0; 64]), Ok(1..)).then_some(())
}
