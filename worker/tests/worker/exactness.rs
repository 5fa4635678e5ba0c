//! Whatever happens between worker and redis, what was hashed is what is counted.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use testkit::Redis;

use crate::{PATIENCE, eventually, peer::Peer, proxy::Proxy, worker};

/// How often redis is killed.
const KILLS: u32 = 12;

/// How many answers of redis are lost.
const LOSSES: u64 = 60;

#[test]
fn no_count_is_lost_or_doubled_when_redis_is_killed_again_and_again() {
    mine_while_redis_is_killed("1");
}

#[test]
fn no_count_is_lost_or_doubled_with_eight_loops_when_redis_is_killed_again_and_again() {
    mine_while_redis_is_killed("8");
}

#[test]
fn a_coin_begins_with_what_coins_are_told_to_begin_with() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("COIN_PREFIX", "0a"), ("HASHES", "3000"), ("CONNECTIONS", "keep-alive")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    assert!(worker.wait(PATIENCE).success());
    let (coins, others): (Vec<_>, Vec<_>) =
        hasher.coins().into_iter().partition(|(hash, _)| hash.starts_with("0a"));
    assert!(!coins.is_empty() && others.len() > coins.len());
    assert_eq!((redis.wallet(), redis.hashes()), (coins, 3000));
}

fn mine_while_redis_is_killed(concurrency: &str) {
    let Some(mut redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("CONCURRENCY", concurrency), ("SHUTDOWN_TIMEOUT", "20s")];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    for _ in 0..KILLS {
        let before = redis.hashes();
        eventually(PATIENCE, "redis has more hashes", || redis.hashes() > before);
        redis.kill();
        // Long enough for the worker to mine on and to find redis gone.
        thread::sleep(Duration::from_millis(60));
        redis.start_again();
    }
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    let refused = worker.lines().iter().filter(|line| line.contains(&redis.name())).count();
    assert!(refused > 0, "the worker never noticed:\n{}", worker.lines().join("\n"));
    assert_exact(&redis, &hasher);
}

#[test]
fn no_count_is_lost_or_doubled_when_answers_of_redis_are_lost() {
    mine_while_answers_are_lost("1");
}

#[test]
fn no_count_is_lost_or_doubled_with_eight_loops_when_answers_of_redis_are_lost() {
    mine_while_answers_are_lost("8");
}

fn mine_while_answers_are_lost(concurrency: &str) {
    let Some(redis) = Redis::start() else { return };
    let hasher = mine_through(&Proxy::start(redis.port(), || {}), concurrency);
    assert_exact(&redis, &hasher);
}

#[test]
fn a_report_that_arrives_after_its_repetition_and_others_counts_once() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::late(redis.port());
    let hasher = mine_through(&proxy, "8");
    eventually(PATIENCE, "everything is delivered", || !proxy.is_delivering());
    assert_exact(&redis, &hasher);
}

#[test]
fn without_the_number_of_the_batch_lost_answers_double_counts() {
    let Some(redis) = Redis::start() else { return };
    // Redis forgets the numbers whenever an answer is lost, as if there were none.
    let port = redis.port();
    let proxy = Proxy::start(port, move || forget_batch_numbers(port));
    let hasher = mine_through(&proxy, "1");
    let (counted, done) = (redis.hashes(), hasher.answered());
    assert!(counted > done, "{counted} counted, {done} done");
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn a_plain_increment_that_is_sent_again_counts_twice() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::start(redis.port(), || {});
    let mut sent = 0;
    while proxy.lost() < 10 {
        sent += 1;
        while increment(proxy.address()).is_none() {}
    }
    assert_eq!(redis.hashes(), sent + proxy.lost());
}

/// Lets a worker mine until many answers were lost, and returns its hasher.
fn mine_through(proxy: &Proxy, concurrency: &str) -> Peer {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("CONCURRENCY", concurrency), ("SHUTDOWN_TIMEOUT", "20s")];
    let mut worker = worker(&rng, &hasher, &proxy.url(), &settings);
    eventually(PATIENCE, "many answers are lost", || proxy.lost() >= LOSSES);
    // Among the lost ones may be that of the last report.
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    hasher
}

fn assert_exact(redis: &Redis, hasher: &Peer) {
    assert!(hasher.answered() > 100, "only {} hashes", hasher.answered());
    assert!(!hasher.coins().is_empty());
    assert_eq!(redis.hashes(), hasher.answered());
    assert_eq!(redis.wallet(), hasher.coins());
}

fn forget_batch_numbers(port: u16) {
    const FORGET: &str = "for _, key in ipairs(redis.call('KEYS', 'dockercoins:flush:*')) do redis.call('DEL', key) end";
    let mut redis = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = FORGET.len();
    write!(redis, "*3\r\n$4\r\nEVAL\r\n${length}\r\n{FORGET}\r\n$1\r\n0\r\n").unwrap();
    assert!(redis.read(&mut [0; 64]).unwrap() > 0);
}

/// Counts one hash as a naive worker would; nothing when the answer was lost.
fn increment(address: SocketAddr) -> Option<()> {
    let mut redis = TcpStream::connect(address).unwrap();
    redis.write_all(b"*3\r\n$6\r\nINCRBY\r\n$6\r\nhashes\r\n$1\r\n1\r\n").ok()?;
    matches!(redis.read(&mut [0; 64]), Ok(1..)).then_some(())
}
