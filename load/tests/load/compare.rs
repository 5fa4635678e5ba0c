//! Comparisons of two variants.

use serde_json::Value;
use testkit::{Process, Redis, peer::Peer};

use crate::{json, load};

#[test]
fn two_variants_take_turns_and_their_ratio_is_reported() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let settings = [
        ("DURATION", "300ms"),
        ("COMPARE", "--rate 20 --connections keep-alive"),
        ("OUTPUT", "json"),
        ("EXPECT", "ratio<0.9,ratio>1,hashes=0"),
    ];
    let (code, report, errors) = json(load(&rng, &hasher, &redis.url(), &settings));
    assert_eq!(code, Some(1), "{errors}");
    assert_eq!(errors.matches("expected ratio>1, but").count(), 1, "{errors}");
    assert!(!errors.contains("ratio<0.9"), "{errors}");
    for variant in ["A", "B"] {
        let violation = format!("{variant}: expected hashes=0, but");
        assert_eq!(errors.matches(&violation).count(), 2, "{errors}");
    }
    let arrived =
        |turn: &Value| turn["hashes"].as_u64().unwrap() + turn["not_done"].as_u64().unwrap();
    assert!(report["b"].as_array().unwrap().iter().all(|turn| arrived(turn) == 6), "{report}");
    for (variant, connections) in [("a", "per-request"), ("b", "keep-alive")] {
        let turns = report[variant].as_array().unwrap();
        assert_eq!(turns.len(), 2);
        assert!(turns.iter().all(|turn| turn["connections"] == connections), "{report}");
    }
    assert!(report["ratio"]["hashes_per_second"].as_f64().unwrap() < 0.9, "{report}");
    assert_eq!(redis.hashes(), hasher.hashes());
}

#[test]
fn a_comparison_takes_flags_as_in_the_docs() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng().url(), Peer::hasher().url());
    let urls = ["--rng-url", &rng, "--hasher-url", &hasher, "--redis-url", &redis.url()];
    let profile = ["--hashes", "5", "--delay", "0s", "--compare", "--connections keep-alive"];
    let report = ["--rounds", "1", "--output", "json", "--expect", "ratio>0"];
    let flags = [&urls[..], &profile, &report].concat();
    let admin = [("ADMIN_LISTEN", "127.0.0.1:0")];
    let load = Process::start(env!("CARGO_BIN_EXE_load"), &flags, &admin);
    let (code, report, errors) = json(load);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(report["b"][0]["connections"], "keep-alive");
    assert_eq!(redis.hashes(), 10);
}
