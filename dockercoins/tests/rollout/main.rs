//! A rolling update: an old and a new process of a service behind a balancer that checks `/readyz`,
//! and clients that record every failure.
//!
//! These tests are separate from the others, because they load the machine while those measure
//! time.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod balancer;
mod clients;

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use testkit::{Process, Redis, eventually};

use crate::{
    balancer::{Balancer, BalancerMode},
    clients::{Clients, Connection, Outcome, RequestSpec},
};

/// How long an expected effect may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stopping service still accepts connections: several times the interval of the checks.
const SHUTDOWN_DELAY: (&str, &str) = ("SHUTDOWN_DELAY", "2s");

const TWO_SECONDS: Duration = Duration::from_secs(2);

/// How long it may take to exit after that. On an idle machine it takes a tenth of that.
const SOON: Duration = Duration::from_secs(4);

/// A part of the access line of a response with status 200.
const STATUS_200: &str = "\" 200 ";

/// A part of hasher's access line for a hash over HTTP/2.
const HASHED_OVER_HTTP2: &str = "\"POST / HTTP/2.0\" 200 64";

/// A part of the worker's log line for each flush.
const FLUSHED: &str = " units of work done, updating hash counter";

const RNG: RequestSpec =
    RequestSpec { request: "GET /32", body: |_| Vec::new(), is_valid: |_, body| body.len() == 32 };

const HASHER: RequestSpec = RequestSpec {
    request: "POST /",
    body: |n| n.to_string().into_bytes(),
    is_valid: |n, body| body == hex::encode(Sha256::digest(n.to_string())).as_bytes(),
};

const WEBUI: RequestSpec = RequestSpec {
    request: "GET /json",
    body: |_| Vec::new(),
    is_valid: |_, body| String::from_utf8_lossy(body).contains("\"hashes\":\"42\""),
};

#[test]
fn no_request_to_rng_fails_during_an_update() {
    assert_no_failures("rng", RNG, &[("DELAY", "0s")]);
}

#[test]
fn no_request_to_hasher_fails_during_an_update() {
    assert_no_failures("hasher", HASHER, &[("DELAY", "20ms")]);
}

#[test]
fn no_request_to_webui_fails_during_an_update() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["SET", "hashes", "42"]);
    assert_no_failures("webui", WEBUI, &[("REDIS_URL", &redis.url())]);
}

#[test]
fn without_a_shutdown_delay_requests_fail_during_the_same_update() {
    let settings = [("DELAY", "20ms"), ("SHUTDOWN_DELAY", "0s")];
    let Some(update) = update("hasher", HASHER, &settings) else { return };
    assert!(update.groups.iter().any(|group| !group.failures.is_empty()));
}

fn assert_no_failures(name: &str, spec: RequestSpec, settings: &[(&str, &str)]) {
    let settings = [settings, &[SHUTDOWN_DELAY]].concat();
    let Some(update) = update(name, spec, &settings) else { return };
    let Update { groups, idle, by_old, by_new, time, errors } = update;
    let failures: Vec<_> = groups.iter().flat_map(|group| &group.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}\n{errors}");
    // The idle connection has carried one request.
    let responses = 1 + groups.iter().map(|group| group.responses).sum::<u64>();
    println!(
        "{name}: {responses} responses, {by_old} by the old process, which exited after {time:.1?}"
    );
    assert_eq!(by_old + by_new, responses);
    let [_, _, direct] = groups;
    assert!(direct.closes > 0, "no response announced the end of a connection");
    idle.end().unwrap();
    assert!((TWO_SECONDS..TWO_SECONDS + SOON).contains(&time), "the old process took {time:?}");
}

/// The results of an update.
struct Update {
    /// The clients of a balancer per request, of a balancer with keep-alive, and without a
    /// balancer.
    groups: [Outcome; 3],
    /// An idle connection to the old service.
    idle: Connection,
    by_old: u64,
    by_new: u64,
    /// Time from the signal to the exit of the old service.
    time: Duration,
    errors: String,
}

/// Replaces a service under load.
fn update(name: &str, spec: RequestSpec, settings: &[(&str, &str)]) -> Option<Update> {
    let balancers =
        [Balancer::start(BalancerMode::PerRequest)?, Balancer::start(BalancerMode::KeepAlive)?];
    let mut old = service(name, settings);
    balancers.iter().for_each(|balancer| balancer.add("old", &old));
    let start = |how, connections, address| {
        Clients::start(&format!("{name} {how}"), spec, connections, address)
    };
    let groups = [
        start("per request", BalancerMode::PerRequest, balancers[0].address()),
        start("with keep-alive", BalancerMode::KeepAlive, balancers[1].address()),
        // As with kube-proxy, which does not move open connections.
        start("without a balancer", BalancerMode::KeepAlive, old.address("LISTEN")),
    ];
    let idle = Connection::idle(old.address("LISTEN"), &spec);
    groups.iter().for_each(Clients::wait_for_responses);

    let mut new = service(name, settings);
    balancers.iter().for_each(|balancer| balancer.add("new", &new));
    groups.iter().for_each(Clients::wait_for_responses);

    balancers.iter().for_each(|balancer| balancer.watch("old"));
    let stopped = Instant::now();
    old.terminate();
    eventually(TIMEOUT, "the old server gets no more requests", || {
        balancers.iter().all(|balancer| !balancer.uses("old"))
    });
    groups[2].redirect(new.address("LISTEN"));
    assert_eq!(old.wait(TIMEOUT).code(), Some(0), "{name}");
    let time = stopped.elapsed();
    groups.iter().for_each(Clients::wait_for_responses);

    let groups = groups.map(Clients::stop);
    let [reuses_per_request, reuses] = balancers.each_ref().map(|balancer| balancer.reuses("old"));
    assert!(reuses_per_request == 0 && reuses > 0, "{reuses_per_request} and {reuses} reuses");
    let errors = balancers.map(|balancer| balancer.errors()).join("\n");
    Some(Update {
        groups,
        idle,
        by_old: count(&old, STATUS_200),
        by_new: total_responses(&mut new),
        time,
        errors,
    })
}

#[test]
fn no_hash_is_lost_by_an_update_with_connections_per_request() {
    update_while_mining(BalancerMode::PerRequest, "per-request");
}

#[test]
fn no_hash_is_lost_by_an_update_with_keep_alive() {
    update_while_mining(BalancerMode::KeepAlive, "keep-alive");
}

#[test]
fn no_hash_is_lost_by_an_update_with_http2() {
    update_while_mining(BalancerMode::Forwarded, "http2");
}

/// Replaces rng, hasher and worker at the same time.
fn update_while_mining(connections: BalancerMode, name: &str) {
    let Some(redis) = Redis::start() else { return };
    let Some(rng) = Balancer::start(connections) else { return };
    let Some(hasher) = Balancer::start(connections) else { return };
    let services = || {
        let hasher = [("DELAY", "20ms"), SHUTDOWN_DELAY];
        [service("rng", &[("DELAY", "0s"), SHUTDOWN_DELAY]), service("hasher", &hasher)]
    };
    let (rng_url, hasher_url) =
        (format!("http://{}", rng.address()), format!("http://{}", hasher.address()));
    // The shared connection ends only once, so many requests should be in flight at that time.
    let delay = if connections == BalancerMode::Forwarded { "0s" } else { "50ms" };
    let worker = || {
        let settings = [
            ("RNG_URL", rng_url.as_str()),
            ("HASHER_URL", &hasher_url),
            ("REDIS_URL", &redis.url()),
            ("CONNECTIONS", name),
            ("CONCURRENCY", "25"),
            ("DELAY", delay),
            ("INTERVAL", "100ms"),
        ];
        service("worker", &settings)
    };
    let wait_for_flushes = |worker: &Process| {
        let before = count(worker, FLUSHED);
        eventually(TIMEOUT, "more flushes", || count(worker, FLUSHED) >= before + 3);
    };

    let mut old = services();
    rng.add("old", &old[0]);
    hasher.add("old", &old[1]);
    let mut old_worker = worker();
    wait_for_flushes(&old_worker);

    let mut new = services();
    rng.add("new", &new[0]);
    hasher.add("new", &new[1]);
    let mut new_worker = worker();
    wait_for_flushes(&new_worker);

    rng.watch("old");
    hasher.watch("old");
    old.iter().for_each(Process::terminate);
    wait_for_flushes(&old_worker);
    old_worker.terminate();
    assert_eq!(old_worker.wait(TIMEOUT).code(), Some(0));
    for service in &mut old {
        assert_eq!(service.wait(TIMEOUT).code(), Some(0));
    }
    wait_for_flushes(&new_worker);
    new_worker.terminate();
    assert_eq!(new_worker.wait(TIMEOUT).code(), Some(0));

    for worker in [&old_worker, &new_worker] {
        let problems = [" ERROR ", " WARN ", "restarting"].map(|word| count(worker, word));
        let errors = [&rng, &hasher].map(Balancer::errors).join("\n");
        assert_eq!(problems, [0; 3], "{}\n{errors}", worker.lines().join("\n"));
    }
    let (by_old, by_new) = (count(&old[1], STATUS_200), total_responses(&mut new[1]));
    println!("{name}: {} hashes, {by_old} by the old hasher", redis.hashes());
    assert_eq!(hasher.reuses("old") > 0, connections == BalancerMode::KeepAlive);
    assert!(by_new > 0);
    assert_eq!(redis.hashes(), by_old + by_new);
    let found = count(&old_worker, "Coin found: ") + count(&new_worker, "Coin found: ");
    assert_eq!(redis.wallet().len() as u64, found);
}

#[test]
fn no_hash_is_lost_over_http2_when_rng_and_hasher_are_replaced_at_their_addresses() {
    let Some(redis) = Redis::start() else { return };
    let mut services = ["rng", "hasher"].map(|name| service(name, &[("DELAY", "0s")]));
    let addresses = services.each_ref().map(|service| service.address("LISTEN").to_string());
    let [rng_url, hasher_url] = addresses.each_ref().map(|address| format!("http://{address}"));
    let mut worker = service(
        "worker",
        &[
            ("RNG_URL", &rng_url),
            ("HASHER_URL", &hasher_url),
            ("REDIS_URL", &redis.url()),
            ("CONNECTIONS", "http2"),
            ("CONCURRENCY", "25"),
            ("DELAY", "5ms"),
            ("INTERVAL", "50ms"),
            ("RETRY", "50ms"),
        ],
    );
    let mut hashed = 0;
    for round in 0..4 {
        let before = redis.hashes();
        eventually(TIMEOUT, "more hashes", || redis.hashes() > before + 100);
        let (index, name) = [(0, "rng"), (1, "hasher")][round % 2];
        services[index].terminate();
        assert_eq!(services[index].wait(TIMEOUT).code(), Some(0));
        hashed += count(&services[index], HASHED_OVER_HTTP2);
        let settings = [("DELAY", "0s"), ("LISTEN", addresses[index].as_str())];
        services[index] = service(name, &settings);
    }
    let before = redis.hashes();
    eventually(TIMEOUT, "more hashes", || redis.hashes() > before + 100);
    worker.terminate();
    assert_eq!(worker.wait(TIMEOUT).code(), Some(0));
    services[1].terminate();
    assert_eq!(services[1].wait(TIMEOUT).code(), Some(0));
    assert_eq!(
        redis.hashes(),
        hashed + count(&services[1], HASHED_OVER_HTTP2),
        "{:#?}",
        worker.lines()
    );
}

/// Starts a service on free ports.
fn service(name: &str, settings: &[(&str, &str)]) -> Process {
    Process::service(testkit::sibling(env!("CARGO_BIN_EXE_dockercoins"), name), settings)
}

/// The number of lines in the log of a process that contain a text.
fn count(process: &Process, text: &str) -> u64 {
    process.lines().iter().filter(|line| line.contains(text)).count() as u64
}

/// The number of responses of a service. Kills it first, so that its log is complete.
fn total_responses(service: &mut Process) -> u64 {
    service.kill();
    service.wait(TIMEOUT);
    count(service, STATUS_200)
}
