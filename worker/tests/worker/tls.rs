//! Redis with TLS, and with a password.

use testkit::Redis;

use crate::{TIMEOUT, eventually, peer::Peer, worker};

#[test]
fn redis_with_tls_is_used_if_its_authority_is_trusted() {
    let Some(redis) = Redis::start_with_tls() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let authority = redis.authority().to_string_lossy().into_owned();
    let settings = [("SSL_CERT_FILE", authority.as_str())];
    let mut worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn redis_with_tls_is_rejected_if_its_authority_is_not_trusted() {
    let (Some(redis), Some(other)) = (Redis::start_with_tls(), Redis::start_with_tls()) else {
        return;
    };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let authority = other.authority().to_string_lossy().into_owned();
    let settings = [("SSL_CERT_FILE", authority.as_str())];
    let worker = worker(&rng, &hasher, &redis.url(), &settings);
    let line = worker.wait_for(&format!("{}: ", redis.name()), TIMEOUT);
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(redis.cli(&["EXISTS", "hashes"]), "0");
}

#[test]
fn a_wrong_password_is_an_error_that_does_not_reveal_the_password() {
    let Some(redis) = Redis::start_with(&["--requirepass", "first"]) else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let url = format!("redis://:s3cret@{}", redis.name());
    let worker = worker(&rng, &hasher, &url, &[("DEBUG", "yes"), ("RUST_LOG", "debug")]);
    let line = worker.wait_for(&format!("ERROR {}: ", redis.name()), TIMEOUT);
    assert!(line.to_lowercase().contains("password"), "{line}");
    redis.cli(&["-a", "first", "--no-auth-warning", "CONFIG", "SET", "requirepass", "s3cret"]);
    let counts = || redis.cli(&["-a", "s3cret", "--no-auth-warning", "EXISTS", "hashes"]) == "1";
    eventually(TIMEOUT, "the worker counts", counts);
    assert!(!worker.lines().iter().any(|line| line.contains("s3cret")));
}
