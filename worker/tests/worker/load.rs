//! The worker as a load generator.

use std::{
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{Process, Redis};

use crate::{
    PATIENCE,
    peer::{self, Peer},
    worker,
};

/// Waits for the end, and returns the exit code and what stdout has.
fn end(mut load: Process) -> (Option<i32>, Vec<String>, String) {
    let code = load.wait(PATIENCE).code();
    let errors = load.errors();
    let said = load.lines().into_iter().filter(|line| !errors.contains(line)).collect();
    (code, said, errors.join("\n"))
}

fn json(load: Process) -> (Option<i32>, Value, String) {
    let (code, said, errors) = end(load);
    let [object] = &said[..] else { panic!("not one line: {said:?}\n{errors}") };
    (code, serde_json::from_str(object).unwrap(), errors)
}

#[test]
fn as_many_hashes_are_made_and_counted_as_were_asked_for() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("HASHES", "500"),
        ("OUTPUT", "json"),
        ("CONCURRENCY", "8"),
        ("CONNECTIONS", "keep-alive"),
        ("EXPECT", "hashes=500,errors=0,p99<20s,hashes_per_second>1"),
    ];
    let (code, report, errors) = json(worker(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("units of work done"), "logs go to stderr:\n{errors}");
    assert_eq!((redis.hashes(), hasher.answered()), (500, 500));
    assert_eq!(redis.wallet(), hasher.coins());
    assert_eq!(report["hashes"], 500);
    let number = |value: &Value| value.as_f64().unwrap();
    let (seconds, speed) = (number(&report["seconds"]), number(&report["hashes_per_second"]));
    assert!((speed * seconds - 500.0).abs() < 0.01, "{report}");
    assert!(number(&report["cpu_seconds"]) > 0.0);
    // These peers are like the originals: they do not say where the time went.
    for stage in ["unit", "unknown", "redis"] {
        let times = &report["latencies"][stage];
        assert!(0.0 < number(&times["p50"]), "{stage}: {report}");
        assert!(number(&times["p50"]) <= number(&times["p99"]), "{stage}: {report}");
        assert!(number(&times["p99.9"]) <= number(&times["max"]), "{stage}: {report}");
    }
    assert_eq!(report["latencies"]["unit"]["count"], 500);
    assert_eq!(report["latencies"]["unknown"]["count"], 1000);
}

#[test]
fn an_expectation_that_does_not_hold_is_named_and_ends_in_failure() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("HASHES", "20"), ("EXPECT", "p50<1h,p99<1ns,redis.max>1h")];
    let (code, said, errors) = end(worker(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert!(said[0].contains("hashes/s: 20 in "), "{said:?}");
    let error = errors.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains("expected p99<1ns, but it was"), "{error}");
    assert!(error.contains("expected redis.max>1h, but it was"), "{error}");
    assert!(!error.contains("p50"), "{error}");
}

#[test]
fn what_makes_no_load_is_refused_with_what_would_be_right() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    for (settings, right) in [
        (&[("RATE", "10")][..], "--duration 30s"),
        (&[("OUTPUT", "json")], "--duration 30s"),
        (&[("DURATION", "1s"), ("RATE", "-1")], "50 or 1000"),
        (&[("DURATION", "1s"), ("RATE", "1e-300")], "50 or 1000"),
        (&[("DURATION", "1s"), ("RATE", "1e9")], "50 or 1000"),
        (&[("DURATION", "1s"), ("EXPECT", "fast")], "p99<5ms"),
        (&[("DURATION", "soon")], "30s, 500ms"),
        (&[("DURATION", "0s")], "a length of time above 0s"),
        (&[("HASHES", "0")], "a whole number from 1"),
        (&[("HASHES", "1e3")], "a whole number from 1"),
        (&[("DURATION", "1s"), ("COMPARE", "batch=32")], "right would be '--batch 32'"),
        (&[("DURATION", "1s"), ("COMPARE", "--help")], "right would be settings of the loop"),
        (&[("DURATION", "1s"), ("COMPARE", "--concurency 2")], "--concurency"),
        (&[("DURATION", "1s"), ("COMPARE", "--batch 0")], "--batch"),
        (&[("DURATION", "1s"), ("COMPARE", "--threads 1")], "right would be settings of the loop"),
        (
            &[("DURATION", "1s"), ("COMPARE", "--output json")],
            "right would be settings of the loop",
        ),
        (&[("DURATION", "1s"), ("EXPECT", "ratio>1")], "--compare '--batch 32'"),
        (&[("DURATION", "1s"), ("ROUNDS", "3")], "--compare '--batch 32'"),
        (&[("ROUNDS", "3")], "ROUNDS: a load needs an end"),
        (&[("WARM_UP", "1s")], "WARM_UP: a load needs an end"),
    ] {
        let (code, said, errors) = end(worker(&rng, &hasher, "redis://127.0.0.1:1", settings));
        assert_eq!((code, said.len()), (Some(2), 0), "{settings:?}: {said:?} {errors}");
        assert!(errors.contains(right), "{settings:?}: {errors}");
        assert_eq!(errors.matches("right would be").count(), 1, "{settings:?}: {errors}");
    }
}

#[test]
fn help_shows_no_password_of_the_other_side() {
    let other = [("COMPARE", "--redis-url redis://:secret@elsewhere:6379")];
    let help = Process::start(env!("CARGO_BIN_EXE_worker"), &["--help"], &other);
    let (code, said, _) = end(help);
    assert_eq!(code, Some(0));
    assert!(said.iter().any(|line| line.contains("COMPARE")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("secret")), "{said:#?}");
}

/// A hasher whose first answer comes late.
fn late_once() -> Peer {
    let late = AtomicBool::new(true);
    Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        if late.swap(false, Ordering::Relaxed) {
            thread::sleep(Duration::from_secs(1));
        }
        peer::hash(peer, body, stream)
    })
}

#[test]
fn an_open_loop_tells_of_those_who_had_to_wait_and_a_closed_one_does_not() {
    let Some(redis) = Redis::start() else { return };
    let load = |rate: &[(&str, &str)]| {
        let settings = [&[("DURATION", "2s"), ("OUTPUT", "json")], rate].concat();
        json(worker(&Peer::rng(), &late_once(), &redis.url(), &settings)).1
    };
    let open = load(&[("RATE", "50")]);
    assert_eq!(open["hashes"], 100, "{open}");
    // Those of the first second waited for the first one, the longer the earlier they came.
    let p90 = open["latencies"]["unit"]["p90"].as_f64().unwrap();
    assert!((0.6..1.5).contains(&p90), "{open}");
    let closed = load(&[]);
    assert!(closed["latencies"]["unit"]["p90"].as_f64().unwrap() < 0.3, "{closed}");
    assert!(closed["latencies"]["unit"]["max"].as_f64().unwrap() >= 1.0, "{closed}");
}

#[test]
fn an_open_loop_ends_with_its_last_hash() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("HASHES", "20"), ("RATE", "40"), ("CONCURRENCY", "64"), ("OUTPUT", "json")];
    let report = json(worker(&rng, &hasher, &redis.url(), &settings)).1;
    assert_eq!((&report["hashes"], redis.hashes()), (&Value::from(20), 20));
    // Half a second, not as long as it takes until another unit of work has come for each loop.
    assert!((0.4..1.5).contains(&report["seconds"].as_f64().unwrap()), "{report}");
    assert_eq!(report["not_done"], 0);
}

#[test]
fn an_open_loop_ends_in_time_and_tells_what_it_has_not_done() {
    let Some(redis) = Redis::start() else { return };
    let slow = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(100));
        peer::hash(peer, body, stream)
    });
    // What the warm-up could not begin is none of the measurement's; what it had begun is.
    for (warm_up, begun) in [("0s", 0), ("500ms", 1)] {
        let settings = [
            ("DURATION", "1s"),
            ("WARM_UP", warm_up),
            ("RATE", "200"),
            ("OUTPUT", "json"),
            ("EXPECT", "not_done=0,errors=0"),
        ];
        let (code, report, errors) = json(worker(&Peer::rng(), &slow, &redis.url(), &settings));
        let hashes = report["hashes"].as_u64().unwrap();
        assert!((1..=11 + begun).contains(&hashes), "{report}");
        let all = hashes + report["not_done"].as_u64().unwrap();
        assert!((200..=200 + begun).contains(&all), "{report}");
        assert!((1.0..3.0).contains(&report["seconds"].as_f64().unwrap()), "{report}");
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("expected not_done=0, but it was 1"), "{errors}");
        assert!(!errors.contains("expected errors"), "{errors}");
        // They have waited from the time they came, evenly spread over the second.
        assert_eq!(report["latencies"]["unit"]["count"], all);
        let p50 = report["latencies"]["unit"]["p50"].as_f64().unwrap();
        assert!((0.4..2.0).contains(&p50), "{report}");
    }
}

#[test]
fn a_load_goes_on_without_redis_and_fails_in_the_end() {
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("DURATION", "1s"),
        ("RATE", "100"),
        ("CONCURRENCY", "4"),
        ("INTERVAL", "200ms"),
        ("SHUTDOWN_TIMEOUT", "300ms"),
        ("OUTPUT", "json"),
    ];
    let (code, report, errors) = json(worker(&rng, &hasher, "redis://127.0.0.1:1", &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert_eq!((report["hashes"].as_u64(), hasher.answered()), (Some(100), 100), "{report}");
    assert_eq!(report["lost"]["hashes"], 100);
    assert!(report["errors"]["store"].as_u64().unwrap() > 2, "{report}");
    assert!(errors.contains("error: 100 hashes and "), "{errors}");
    assert!(errors.matches(" WARN ").count() <= 3, "one line a second is enough:\n{errors}");
}

#[test]
fn errors_are_counted_by_kind_and_their_work_is_done_again() {
    let Some(redis) = Redis::start() else { return };
    let hasher =
        Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| match peer.requests() {
            2 => broken(peer, body, stream),
            3 => peer::only(*b"")(peer, body, stream),
            4 => peer::only(peer::ok(b"no hash"))(peer, body, stream),
            _ => peer::hash(peer, body, stream),
        });
    let settings = [("HASHES", "10"), ("OUTPUT", "json"), ("EXPECT", "errors=3")];
    let (code, report, errors) = json(worker(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!((redis.hashes(), &report["hashes"]), (10, &Value::from(10)));
    let by_kind = serde_json::json!({"status": 1, "other": 1, "answer": 1});
    assert_eq!(report["errors"], by_kind);
    assert_eq!(report["errors_by_peer"]["hasher"], by_kind);
}

/// Answers with an error, and ends the connection.
fn broken(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    peer::only(*b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")(peer, body, stream)
}

/// A hasher that fails as often, and is good after that.
fn failing(times: u64) -> Peer {
    Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| match peer.requests() {
        request if request > times => peer::hash(peer, body, stream),
        _ => broken(peer, body, stream),
    })
}

#[test]
fn an_open_loop_does_again_what_failed_and_its_latency_goes_on() {
    let Some(redis) = Redis::start() else { return };
    let settings = [
        ("HASHES", "50"),
        ("RATE", "50"),
        ("CONCURRENCY", "4"),
        ("OUTPUT", "json"),
        ("EXPECT", "hashes=50,errors=6,not_done=0"),
    ];
    let (code, report, errors) = json(worker(&Peer::rng(), &failing(6), &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(redis.hashes(), 50);
    // A loop waits for a tenth of a second before it tries again.
    assert!(report["latencies"]["unit"]["max"].as_f64().unwrap() >= 0.1, "{report}");
    assert_eq!(report["latencies"]["unit"]["count"], 50);
}

#[test]
fn a_load_without_a_hash_has_no_figures_for_each_and_what_failed_counts_as_not_done() {
    let Some(redis) = Redis::start() else { return };
    let settings = [
        ("DURATION", "500ms"),
        ("RATE", "20"),
        ("CONCURRENCY", "20"),
        ("OUTPUT", "json"),
        ("EXPECT", "not_done=10,p50>50ms,cpu_seconds_per_hash<1"),
    ];
    let (code, report, errors) =
        json(worker(&Peer::rng(), &failing(u64::MAX), &redis.url(), &settings));
    assert_eq!((code, &report["hashes"]), (Some(1), &Value::from(0)), "{errors}");
    assert!(report["cpu_seconds_per_hash"].is_null(), "{report}");
    let error = errors.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert_eq!(error, "error: expected cpu_seconds_per_hash<1, but nothing was measured");
    assert_eq!(report["latencies"]["unit"]["count"], 10);
}

#[test]
fn what_is_done_after_the_warm_up_counts_whenever_it_was_begun() {
    let Some(redis) = Redis::start() else { return };
    let slow = Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(200));
        // The errors of the warm-up are not those of the load.
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
    let (code, report, errors) = json(worker(&Peer::rng(), &slow, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    let number = |value: &Value| value.as_u64().unwrap();
    let (hashes, before) = (number(&report["hashes"]), number(&report["warm_up_hashes"]));
    assert!(before >= 8, "{report}");
    assert_eq!((redis.hashes(), slow.answered()), (hashes + before, hashes + before));
    let [units, answers] =
        ["unit", "hasher"].map(|stage| number(&report["latencies"][stage]["count"]));
    // One may have been answered just before the end of the warm-up, and be counted just after it.
    assert!(units == hashes && (answers..=answers + 1).contains(&units), "{report}");
}

#[test]
fn what_failed_in_the_warm_up_is_no_backlog_of_the_measurement() {
    let Some(redis) = Redis::start() else { return };
    let begun = Instant::now();
    let hasher = Peer::open(move |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        match begun.elapsed() < Duration::from_millis(1300) {
            true => broken(peer, body, stream),
            false => peer::hash(peer, body, stream),
        }
    });
    let settings = [
        ("HASHES", "40"),
        ("RATE", "20"),
        ("WARM_UP", "1s"),
        ("CONCURRENCY", "4"),
        ("OUTPUT", "json"),
        ("EXPECT", "hashes=40,unit.max<1s"),
    ];
    let (code, report, errors) = json(worker(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}\n{report}");
}

#[test]
fn a_load_of_so_many_hashes_takes_until_the_last_of_them() {
    let Some(redis) = Redis::start() else { return };
    // One that was begun in the warm-up is late, and does not count when the others are done.
    let late = late_once();
    let settings = [
        ("HASHES", "5"),
        ("WARM_UP", "300ms"),
        ("CONCURRENCY", "2"),
        ("OUTPUT", "json"),
        ("EXPECT", "hashes=5"),
    ];
    let (code, report, errors) = json(worker(&Peer::rng(), &late, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert!(report["seconds"].as_f64().unwrap() < 0.5, "{report}");
}

#[test]
fn a_report_for_people_tells_all_that_was_measured() {
    let Some(redis) = Redis::start() else { return };
    let settings = [("HASHES", "20"), ("COMPARE", "--concurrency 2"), ("ROUNDS", "1")];
    let hasher = failing(1);
    let (code, said, errors) = end(worker(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    let said = said.join("\n");
    for part in [
        "A: ",
        "B: ",
        " hashes/s: 20 in ",
        "(per-request, 1 loop)",
        "(per-request, 2 loops)",
        "\nunit ",
        "\nrng ",
        "\nhasher ",
        "\nredis ",
        "CPU time of the worker: ",
        "errors: 1 × hasher status",
        "errors: none",
        "B has ",
        " times the hashes/s of A",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn two_sides_take_turns_and_their_ratio_is_told() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("DURATION", "300ms"),
        ("COMPARE", "--rate 20 --connections keep-alive"),
        ("OUTPUT", "json"),
        ("EXPECT", "ratio<0.9,ratio>1,hashes=0"),
    ];
    let (code, report, errors) = json(worker(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert_eq!(errors.matches("expected ratio>1, but").count(), 1, "{errors}");
    assert!(!errors.contains("ratio<0.9"), "{errors}");
    for side in ["A", "B"] {
        let complaint = format!("{side}: expected hashes=0, but");
        assert_eq!(errors.matches(&complaint).count(), 2, "{errors}");
    }
    let arrived =
        |turn: &Value| turn["hashes"].as_u64().unwrap() + turn["not_done"].as_u64().unwrap();
    assert!(report["b"].as_array().unwrap().iter().all(|turn| arrived(turn) == 6), "{report}");
    for (side, connections) in [("a", "per-request"), ("b", "keep-alive")] {
        let turns = report[side].as_array().unwrap();
        assert_eq!(turns.len(), 2);
        assert!(turns.iter().all(|turn| turn["connections"] == connections), "{report}");
    }
    assert!(report["ratio"]["hashes_per_second"].as_f64().unwrap() < 0.9, "{report}");
    assert_eq!(redis.hashes(), hasher.answered());
}

#[test]
fn a_comparison_is_asked_for_by_flags_as_the_docs_have_them() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng().url(), Peer::hasher().url());
    let urls = ["--rng-url", &rng, "--hasher-url", &hasher, "--redis-url", &redis.url()];
    let load = ["--hashes", "5", "--delay", "0s", "--compare", "--connections keep-alive"];
    let told = ["--rounds", "1", "--output", "json", "--expect", "ratio>0"];
    let flags = [&urls[..], &load, &told].concat();
    let admin = [("ADMIN_LISTEN", "127.0.0.1:0")];
    let load = Process::start(env!("CARGO_BIN_EXE_worker"), &flags, &admin);
    let (code, report, errors) = json(load);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(report["b"][0]["connections"], "keep-alive");
    assert_eq!(redis.hashes(), 10);
}

#[test]
fn a_load_that_is_interrupted_reports_what_it_has_done_and_fails() {
    for compare in [&[][..], &[("COMPARE", "--concurrency 2"), ("EXPECT", "ratio>0")]] {
        let Some(redis) = Redis::start() else { return };
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let settings = [&[("DURATION", "1h"), ("OUTPUT", "json")], compare].concat();
        let load = worker(&rng, &hasher, &redis.url(), &settings);
        testkit::eventually(PATIENCE, "hashes", || redis.hashes() > 0);
        load.interrupt();
        let (code, report, errors) = json(load);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("error: the load was interrupted before its end"), "{errors}");
        let turn = if compare.is_empty() { &report } else { &report["a"][0] };
        assert_eq!(turn["interrupted"], true, "{report}");
        assert_eq!(turn["hashes"].as_u64().unwrap(), hasher.answered());
        assert_eq!(redis.hashes(), hasher.answered());
        assert!(report["ratio"].is_null(), "{report}");
        let has_ratio = errors.contains("expected ratio>0, but nothing was measured");
        assert_eq!(has_ratio, !compare.is_empty(), "{errors}");
    }
}
