//! When units of work start and which of them count, in open and in closed loops.

use std::{
    net::TcpStream,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{
    Redis,
    peer::{self, Peer},
};

use crate::{error_line, failing, json, load, server_error, slow_once};

#[test]
fn only_an_open_loop_measures_the_wait_behind_a_slow_response() {
    let Some(redis) = Redis::start() else { return };
    let second = Duration::from_secs(1);
    let measure = |rate: &[(&str, &str)]| {
        let settings = [&[("DURATION", "2s"), ("OUTPUT", "json")], rate].concat();
        json(load(&Peer::rng(), &slow_once(second), &redis.url(), &settings)).1
    };
    let open = measure(&[("RATE", "50")]);
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(number(&open["hashes"]) + number(&open["not_done"]), 100, "{open}");
    // The units of the first second waited for the first one, the earliest for longest.
    let p90 = |report: &Value| report["latencies"]["unit"]["p90"].as_f64().unwrap();
    assert!(p90(&open) >= 0.6, "{open}");
    let closed = measure(&[]);
    assert!(p90(&closed) < p90(&open), "{closed}");
    assert!(closed["latencies"]["unit"]["max"].as_f64().unwrap() >= 1.0, "{closed}");
}

#[test]
fn an_open_loop_ends_with_its_last_hash() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("HASHES", "4"), ("RATE", "4"), ("CONCURRENCY", "64"), ("OUTPUT", "json")];
    let report = json(load(&rng, &hasher, &redis.url(), &settings)).1;
    assert_eq!((&report["hashes"], redis.hashes()), (&Value::from(4), 4));
    // It ends after about a second. One more unit of work for each of the 64 loops would take 16.
    assert!((0.7..10.0).contains(&report["seconds"].as_f64().unwrap()), "{report}");
    assert_eq!(report["not_done"], 0);
}

#[test]
fn an_open_loop_ends_in_time_and_reports_work_that_was_not_done() {
    let Some(redis) = Redis::start() else { return };
    let slow = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(100));
        peer::hash(peer, body, stream)
    });
    // A unit that started in the warm-up counts; units that could not start in it do not.
    for (warm_up, started) in [("0s", 0), ("500ms", 1)] {
        let settings = [
            ("DURATION", "1s"),
            ("WARM_UP", warm_up),
            ("RATE", "200"),
            ("OUTPUT", "json"),
            ("EXPECT", "not_done=0,errors=0"),
        ];
        let (code, report, errors) = json(load(&Peer::rng(), &slow, &redis.url(), &settings));
        let hashes = report["hashes"].as_u64().unwrap();
        assert!((1..=11 + started).contains(&hashes), "{report}");
        let all = hashes + report["not_done"].as_u64().unwrap();
        assert!((200..=200 + started).contains(&all), "{report}");
        assert!(report["seconds"].as_f64().unwrap() >= 1.0, "{report}");
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("expected not_done=0, but it was 1"), "{errors}");
        assert!(!errors.contains("expected errors"), "{errors}");
        // Their waiting times are evenly spread over the second.
        assert_eq!(report["latencies"]["unit"]["count"], all);
        assert!(report["latencies"]["unit"]["p50"].as_f64().unwrap() >= 0.4, "{report}");
    }
}

#[test]
fn an_open_loop_repeats_failed_work_and_its_latency_includes_the_failures() {
    let Some(redis) = Redis::start() else { return };
    let settings = [
        ("HASHES", "50"),
        ("RATE", "50"),
        ("CONCURRENCY", "4"),
        ("OUTPUT", "json"),
        ("EXPECT", "hashes=50,errors=6,not_done=0"),
    ];
    let (code, report, errors) = json(load(&Peer::rng(), &failing(6), &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(redis.hashes(), 50);
    // A loop waits 100 ms before it tries again.
    assert!(report["latencies"]["unit"]["max"].as_f64().unwrap() >= 0.1, "{report}");
    assert_eq!(report["latencies"]["unit"]["count"], 50);
}

#[test]
fn a_load_without_a_hash_has_no_figures_per_hash_and_failed_work_counts_as_not_done() {
    let Some(redis) = Redis::start() else { return };
    let settings = [
        ("DURATION", "500ms"),
        ("RATE", "20"),
        ("CONCURRENCY", "20"),
        ("OUTPUT", "json"),
        ("EXPECT", "not_done=10,p50>50ms,cpu_seconds_per_hash<1"),
    ];
    let (code, report, errors) =
        json(load(&Peer::rng(), &failing(u64::MAX), &redis.url(), &settings));
    assert_eq!((code, &report["hashes"]), (Some(1), &Value::from(0)), "{errors}");
    assert!(report["cpu_seconds_per_hash"].is_null(), "{report}");
    assert_eq!(
        error_line(&errors),
        "error: expected cpu_seconds_per_hash<1, but nothing was measured"
    );
    assert_eq!(report["latencies"]["unit"]["count"], 10);
}

#[test]
fn work_that_ends_after_the_warm_up_counts_whenever_it_started() {
    let Some(redis) = Redis::start() else { return };
    let slow = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(200));
        // The errors of the warm-up do not count.
        match peer.requests() {
            1..5 => peer::only(*b"")(peer, body, stream),
            _ => peer::hash(peer, body, stream),
        }
    });
    let settings = [
        ("DURATION", "1s"),
        ("WARM_UP", "1s"),
        ("CONCURRENCY", "8"),
        ("OUTPUT", "json"),
        ("EXPECT", "errors=0"),
    ];
    let (code, report, errors) = json(load(&Peer::rng(), &slow, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    let number = |value: &Value| value.as_u64().unwrap();
    let (hashes, before) = (number(&report["hashes"]), number(&report["warm_up_hashes"]));
    assert!(before > 0, "{report}");
    assert_eq!((redis.hashes(), slow.hashes()), (hashes + before, hashes + before));
    let [units, requests] =
        ["unit", "hasher"].map(|stage| number(&report["latencies"][stage]["count"]));
    assert_eq!((units, requests), (hashes, hashes), "{report}");
}

#[test]
fn failed_work_of_the_warm_up_is_not_a_backlog_of_the_measurement() {
    let Some(redis) = Redis::start() else { return };
    // Errors last until shortly after the warm-up.
    let first = OnceLock::new();
    let hasher = Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        match first.get_or_init(Instant::now).elapsed() < Duration::from_millis(5200) {
            true => server_error(peer, body, stream),
            false => peer::hash(peer, body, stream),
        }
    });
    let settings = [
        ("HASHES", "40"),
        ("RATE", "20"),
        ("WARM_UP", "5s"),
        ("CONCURRENCY", "4"),
        ("OUTPUT", "json"),
        // Units left over from the warm-up would have waited for up to five seconds.
        ("EXPECT", "hashes=40,unit.max<4s"),
    ];
    let (code, report, errors) = json(load(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}\n{report}");
}

#[test]
fn a_load_of_a_number_of_hashes_ends_with_the_last_of_them() {
    let Some(redis) = Redis::start() else { return };
    // A unit that started in the warm-up is late, and does not count after the others are done.
    let slow = slow_once(Duration::from_secs(10));
    let settings = [
        ("HASHES", "5"),
        ("WARM_UP", "300ms"),
        ("CONCURRENCY", "2"),
        ("OUTPUT", "json"),
        ("EXPECT", "hashes=5"),
    ];
    let (code, report, errors) = json(load(&Peer::rng(), &slow, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert!(report["seconds"].as_f64().unwrap() < 5.0, "{report}");
}
