//! The figures of the report, and the expectations about them.

use std::net::TcpStream;

use serde_json::Value;
use testkit::{
    Redis,
    peer::{self, Peer, hash_blocks, random_blocks},
};

use crate::{TIMEOUT, end, error_line, failing, json, load, server_error};

#[test]
fn a_load_makes_and_counts_the_configured_number_of_hashes() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("HASHES", "500"),
        ("OUTPUT", "json"),
        ("CONCURRENCY", "8"),
        ("CONNECTIONS", "keep-alive"),
        ("EXPECT", "hashes=500,errors=0,p99<20s,hashes_per_second>1"),
    ];
    let (code, report, errors) = json(load(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("units of work done"), "logs go to stderr:\n{errors}");
    assert_eq!((redis.hashes(), hasher.hashes()), (500, 500));
    assert_eq!(redis.wallet(), hasher.coins());
    assert_eq!(report["hashes"], 500);
    let number = |value: &Value| value.as_f64().unwrap();
    let (seconds, speed) = (number(&report["seconds"]), number(&report["hashes_per_second"]));
    assert!((speed * seconds - 500.0).abs() < 0.01, "{report}");
    assert!(number(&report["cpu_seconds"]) > 0.0);
    // Like the original services, these peers send no Server-Timing.
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
fn a_violated_expectation_is_named_and_fails_the_load() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [("HASHES", "20"), ("EXPECT", "p50<1h,p99<1ns,redis.max>1h")];
    let (code, output, errors) = end(load(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert!(output[0].contains("hashes/s: 20 in "), "{output:?}");
    let error = error_line(&errors);
    assert!(error.contains("expected p99<1ns, but it was"), "{error}");
    assert!(error.contains("expected redis.max>1h, but it was"), "{error}");
    assert!(!error.contains("p50"), "{error}");
}

#[test]
fn errors_are_counted_by_kind_and_their_work_is_repeated() {
    let Some(redis) = Redis::start() else { return };
    let hasher =
        Peer::open(|peer: &Peer, body: &[u8], stream: &mut TcpStream| match peer.requests() {
            2 => server_error(peer, body, stream),
            3 => peer::only(*b"")(peer, body, stream),
            4 => peer::only(peer::ok(b"no hash"))(peer, body, stream),
            _ => peer::hash(peer, body, stream),
        });
    let settings = [("HASHES", "10"), ("OUTPUT", "json"), ("EXPECT", "errors=3")];
    let (code, report, errors) = json(load(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!((redis.hashes(), &report["hashes"]), (10, &Value::from(10)));
    let by_kind = serde_json::json!({"status": 1, "other": 1, "answer": 1});
    assert_eq!(report["errors"], by_kind);
    assert_eq!(report["errors_by_peer"]["hasher"], by_kind);
}

#[test]
fn a_text_report_shows_all_measurements() {
    let Some(redis) = Redis::start() else { return };
    let settings = [("HASHES", "20"), ("COMPARE", "--concurrency 2"), ("ROUNDS", "1")];
    let hasher = failing(1);
    let (code, output, errors) = end(load(&Peer::rng(), &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(0), "{errors}");
    let output = output.join("\n");
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
        assert!(output.contains(part), "{part:?} is not in\n{output}");
    }
}

#[test]
fn batches_are_counted_in_hashes() {
    let Some(redis) = Redis::start() else { return };
    for (settings, hashes) in [
        (&[("HASHES", "200")][..], 256),
        (&[("DURATION", "1s"), ("RATE", "640"), ("CONCURRENCY", "4")], 640),
    ] {
        let before = redis.hashes();
        let (rng, hasher) = (Peer::open(random_blocks(64)), Peer::open(hash_blocks));
        let expected = format!("hashes={hashes},not_done=0,errors=0");
        let own = [("BATCH", "64"), ("EXPECT", expected.as_str())];
        let mut load = load(&rng, &hasher, &redis.url(), &[&own, settings].concat());
        assert!(load.wait(TIMEOUT).success(), "{:#?}", load.lines());
        assert_eq!((redis.hashes() - before, hasher.hashes()), (hashes, hashes));
    }
}
