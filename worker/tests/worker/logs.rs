//! The log lines that the scripts of the course wait for.

use std::net::TcpStream;

use sha2::{Digest, Sha256};
use testkit::{Process, Redis};

use crate::{
    TIMEOUT, eventually,
    peer::{self, Peer},
    worker,
};

/// Waits until a line ends with this text after its time and level.
fn wait_for_info(worker: &Process, text: &str) {
    let end = format!("  INFO {text}");
    worker.wait_until(TIMEOUT, text, |lines| {
        lines.iter().any(|line| line.ends_with(&end)).then_some(())
    });
}

#[test]
fn units_of_work_are_logged_verbatim_and_the_first_line_reports_zero() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[]);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    let lines = worker.lines();
    let mut units = lines.iter().filter_map(|line| {
        line.strip_suffix(" units of work done, updating hash counter")?.rsplit(' ').next()
    });
    assert_eq!(units.next(), Some("0"), "{}", lines.join("\n"));
    let second: u64 = units.next().expect("a second report").parse().expect("a number");
    assert!(second > 0);
    wait_for_info(&worker, &format!("{second} units of work done, updating hash counter"));
}

#[test]
fn a_coin_is_logged_with_the_first_eight_digits_of_its_hash() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[]);
    eventually(TIMEOUT, "a coin is in the wallet", || !redis.wallet().is_empty());
    for (hash, _) in hasher.coins() {
        wait_for_info(&worker, &format!("Coin found: {}...", &hash[..8]));
    }
    assert!(!worker.lines().iter().any(|line| line.contains("We already had that coin")));
}

#[test]
fn a_coin_that_is_found_again_is_logged_and_stored_once() {
    let Some(redis) = Redis::start() else { return };
    let bytes = (0_u64..).map(|n| Sha256::digest(n.to_be_bytes())).map(|digest| digest.to_vec());
    let bytes = bytes.into_iter().find(|bytes| Sha256::digest(bytes)[0] < 16).expect("a coin");
    let response = peer::ok(&bytes);
    let rng = Peer::open(move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        std::io::Write::write_all(stream, &response).is_ok()
    });
    let hasher = Peer::hasher();
    let mut worker = worker(&rng, &hasher, &redis.url(), &[]);
    wait_for_info(&worker, "We already had that coin");
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), [(hex::encode(Sha256::digest(&bytes)), hex::encode(&bytes))]);
    let count = |text| worker.lines().iter().filter(|line| line.ends_with(text)).count() as u64;
    assert_eq!(count("  INFO We already had that coin"), hasher.hashes() - 1);
}

#[test]
fn the_default_pause_is_logged_as_ten_seconds() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let redis = Peer::closed(peer::hang);
    let url = format!("redis://{}", redis.name());
    let worker = worker(&rng, &hasher, &url, &[("RETRY", "")]);
    worker.wait_for(" ERROR Waiting 10s and restarting.", TIMEOUT);
}

#[test]
fn each_step_is_logged_when_debug_starts_with_y() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for yes in ["Yes", "y", "YES"] {
        let worker = worker(&rng, &hasher, &redis.url(), &[("DEBUG", yes)]);
        worker.wait_for(" DEBUG Doing one unit of work", TIMEOUT);
        worker.wait_for(" DEBUG No coin found", TIMEOUT);
    }
}

#[test]
fn any_other_value_of_debug_means_off() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for no in ["1", "no", "true", "", "0"] {
        let before = redis.hashes();
        let worker = worker(&rng, &hasher, &redis.url(), &[("DEBUG", no)]);
        eventually(TIMEOUT, "the worker counts", || redis.hashes() > before);
        let lines = worker.lines().join("\n");
        assert!(!lines.contains("DEBUG"), "DEBUG={no}:\n{lines}");
        assert!(!lines.contains("No coin found"), "DEBUG={no}:\n{lines}");
    }
}
