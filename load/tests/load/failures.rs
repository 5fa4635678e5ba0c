//! Loads whose peers or redis fail, and loads that are interrupted.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{
    Redis, eventually,
    peer::{self, Peer, hash_blocks, random_blocks},
};

use crate::{NO_REDIS, TIMEOUT, error_line, json, load, server_error};

#[test]
fn a_load_continues_without_redis_and_fails_at_the_end() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("DURATION", "1s"),
        ("RATE", "100"),
        ("CONCURRENCY", "4"),
        ("INTERVAL", "200ms"),
        ("SHUTDOWN_TIMEOUT", "300ms"),
        ("OUTPUT", "json"),
    ];
    let (code, report, errors) = json(load(&rng, &hasher, NO_REDIS, &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert_eq!((report["hashes"].as_u64(), hasher.hashes()), (Some(100), 100), "{report}");
    assert_eq!(report["lost"]["hashes"], 100);
    assert!(report["errors"]["store"].as_u64().unwrap() > 2, "{report}");
    assert!(errors.contains("error: 100 hashes and "), "{errors}");
    assert!(errors.matches(" WARN ").count() <= 3, "one line a second is enough:\n{errors}");
}

/// The settings of a load that gives up soon.
const STALLS: [(&str, &str); 4] = [
    ("HASHES", "1000000000"),
    ("STALL_TIMEOUT", "1s"),
    ("SHUTDOWN_TIMEOUT", "300ms"),
    ("OUTPUT", "json"),
];

#[test]
fn a_load_whose_peer_is_dead_gives_up() {
    let Some(redis) = Redis::start() else { return };
    let (dead, hasher) = (Peer::closed(peer::random_bytes), Peer::hasher());
    for rate in [&[][..], &[("RATE", "100")]] {
        let started = Instant::now();
        let (code, report, errors) =
            json(load(&dead, &hasher, &redis.url(), &[&STALLS[..], rate].concat()));
        assert_eq!(code, Some(1), "{errors}");
        assert!(started.elapsed() >= Duration::from_secs(1));
        let error = error_line(&errors);
        for part in ["gave up after 1s", "--stall-timeout", &dead.name(), "refused"] {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        assert!(!error.contains("interrupted"), "{error}");
        assert_eq!((&report["hashes"], &report["interrupted"]), (&0.into(), &true.into()));
        assert!(report["errors_by_peer"]["rng"]["connect"].as_u64().unwrap() > 5, "{report}");
        assert!(report["seconds"].as_f64().unwrap() >= 1.0, "{report}");
    }
}

// Only Linux has a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_load_whose_report_cannot_be_written_fails() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--hashes", "1", "--delay", "0s", "--redis-url", &redis.url()])
        .args(["--rng-url", &rng.url(), "--hasher-url", &hasher.url()])
        .env_clear()
        .envs(testkit::FREE_PORTS)
        .stdout(full.try_clone().unwrap())
        .stderr(full)
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
    assert_eq!(redis.hashes(), 1);
}

#[test]
fn a_load_whose_coins_have_no_room_because_redis_is_dead_gives_up() {
    let (rng, hasher) = (Peer::open(random_blocks(1000)), Peer::open(hash_blocks));
    let settings = [("BATCH", "1000"), ("COIN_PREFIX", "0"), ("CONNECTIONS", "keep-alive")];
    let (code, report, errors) =
        json(load(&rng, &hasher, NO_REDIS, &[&STALLS[..], &settings].concat()));
    assert_eq!(code, Some(1), "{errors}");
    let error = error_line(&errors);
    for part in ["gave up after 1s", "--stall-timeout", "127.0.0.1:1", "coins may be lost"] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    let lost = &report["lost"];
    assert!(lost["coins"].as_u64().unwrap() >= 10_000, "{report}");
    assert_eq!(
        (&lost["hashes"], hasher.hashes()),
        (&report["hashes"], report["hashes"].as_u64().unwrap())
    );
    assert!(report["errors"]["store"].as_u64().unwrap() > 5, "{report}");
}

#[test]
fn a_comparison_ends_when_one_variant_stalls() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher, dead) = (Peer::rng(), Peer::hasher(), Peer::closed(peer::hash));
    let compare = format!("--hasher-url {} --stall-timeout 500ms", dead.url());
    let settings =
        [("HASHES", "5"), ("COMPARE", &compare), ("OUTPUT", "json"), ("STALL_TIMEOUT", "20s")];
    let (code, report, errors) = json(load(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert!(error_line(&errors).contains("B: the load gave up after 500ms"), "{errors}");
    let turns = ["a", "b"].map(|variant| report[variant].as_array().unwrap().len());
    assert_eq!((turns, &report["ratio"]), ([1, 1], &Value::Null), "{report}");
}

#[test]
fn errors_between_successes_and_slow_responses_do_not_stall_a_load() {
    let Some(redis) = Redis::start() else { return };
    // Each response takes longer than the timeout.
    let slow = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(400));
        peer::hash(peer, body, stream)
    });
    let settings = [("HASHES", "3"), ("STALL_TIMEOUT", "200ms"), ("OUTPUT", "json")];
    let (code, report, errors) = json(load(&Peer::rng(), &slow, &redis.url(), &settings));
    assert_eq!((code, &report["hashes"]), (Some(0), &3.into()), "{errors}");
    // One error among units of work that are rarer than the timeout.
    let once = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(400));
        match peer.requests() {
            2 => server_error(peer, body, stream),
            _ => peer::hash(peer, body, stream),
        }
    });
    let (code, report, errors) = json(load(&Peer::rng(), &once, &redis.url(), &settings));
    assert_eq!((code, &report["errors"]["status"]), (Some(0), &1.into()), "{errors}");
    let settings = [("HASHES", "50"), ("STALL_TIMEOUT", "2s"), ("OUTPUT", "json")];
    let every_other = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        match peer.requests().is_multiple_of(2) {
            true => peer::hash(peer, body, stream),
            false => server_error(peer, body, stream),
        }
    });
    let (code, report, errors) = json(load(&Peer::rng(), &every_other, &redis.url(), &settings));
    assert_eq!((code, &report["errors"]["status"]), (Some(0), &50.into()), "{errors}");
    assert!(report["seconds"].as_f64().unwrap() > 4.0, "longer than the timeout: {report}");
}

#[test]
fn an_interrupted_load_reports_its_work_and_fails() {
    for compare in [&[][..], &[("COMPARE", "--concurrency 2"), ("EXPECT", "ratio>0")]] {
        let Some(redis) = Redis::start() else { return };
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let settings = [&[("DURATION", "1h"), ("OUTPUT", "json")], compare].concat();
        let load = load(&rng, &hasher, &redis.url(), &settings);
        eventually(TIMEOUT, "hashes", || redis.hashes() > 0);
        load.interrupt();
        let (code, report, errors) = json(load);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("error: the load was interrupted before its end"), "{errors}");
        let turn = if compare.is_empty() { &report } else { &report["a"][0] };
        assert_eq!(turn["interrupted"], true, "{report}");
        assert_eq!(turn["hashes"].as_u64().unwrap(), hasher.hashes());
        assert_eq!(redis.hashes(), hasher.hashes());
        assert!(report["ratio"].is_null(), "{report}");
        let has_ratio = errors.contains("expected ratio>0, but nothing was measured");
        assert_eq!(has_ratio, !compare.is_empty(), "{errors}");
    }
}
