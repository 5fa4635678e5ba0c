//! Redis over TLS, and with a password.

use testkit::Redis;

use crate::{PATIENCE, eventually, peer::Peer, worker};

#[test]
fn a_redis_with_tls_is_used_when_its_authority_is_known() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let authority = redis.authority().to_string_lossy().into_owned();
    let settings = [("SSL_CERT_FILE", authority.as_str())];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert_eq!(redis.hashes(), hasher.answered());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn a_redis_with_tls_is_refused_when_its_authority_is_unknown() {
    let (Some(redis), Some(other)) = (Redis::start_with_tls(), Redis::start_with_tls()) else {
        return;
    };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let authority = other.authority().to_string_lossy().into_owned();
    let settings = [("SSL_CERT_FILE", authority.as_str())];
    let worker = worker(&rng, &hasher, &redis.url(), &settings);
    let line = worker.wait_for(&format!("{}: ", redis.name()), PATIENCE);
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(redis.cli(&["EXISTS", "hashes"]), "0");
}

#[test]
fn a_wrong_password_is_an_error_without_the_password_until_redis_takes_it() {
    let Some(redis) = Redis::start_with(&["--requirepass", "first"]) else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let url = format!("redis://:s3cret@{}", redis.name());
    let worker = worker(&rng, &hasher, &url, &[("DEBUG", "yes"), ("RUST_LOG", "debug")]);
    let line = worker.wait_for(&format!("ERROR {}: ", redis.name()), PATIENCE);
    assert!(line.to_lowercase().contains("password"), "{line}");
    redis.cli(&["-a", "first", "--no-auth-warning", "CONFIG", "SET", "requirepass", "s3cret"]);
    let counts = || redis.cli(&["-a", "s3cret", "--no-auth-warning", "EXISTS", "hashes"]) == "1";
    eventually(PATIENCE, "the worker counts", counts);
    assert!(!worker.lines().iter().any(|line| line.contains("s3cret")));
}
