//! A rolling update, rehearsed: two generations of a service behind a balancer that follows
//! `/readyz`, and clients that notice everything.
//!
//! Apart from the other tests, because it loads the machine while those measure time.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod balancer;
mod clients;

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use testkit::{Process, Redis, eventually};

use crate::{
    balancer::{Balancer, Connections},
    clients::{Clients, Connection, Outcome, Question},
};

/// How long anything that is expected may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a stopping service still accepts: several times as long as the balancer needs to know.
const SHUTDOWN_DELAY: (&str, &str) = ("SHUTDOWN_DELAY", "2s");

const TWO_SECONDS: Duration = Duration::from_secs(2);

/// How long it may take to end after that. It takes a tenth of that where nothing else runs.
const SOON: Duration = Duration::from_secs(4);

/// What the access line of an answer with status 200 contains.
const ANSWERED: &str = "\" 200 ";

/// What hasher says of a hash over HTTP/2.
const HASHED: &str = "\"POST / HTTP/2.0\" 200 64";

/// What a worker says with each report.
const REPORTED: &str = " units of work done, updating hash counter";

const RNG: Question =
    Question { request: "GET /32", body: |_| Vec::new(), is_right: |_, body| body.len() == 32 };

const HASHER: Question = Question {
    request: "POST /",
    body: |n| n.to_string().into_bytes(),
    is_right: |n, body| body == hex::encode(Sha256::digest(n.to_string())).as_bytes(),
};

const WEBUI: Question = Question {
    request: "GET /json",
    body: |_| Vec::new(),
    is_right: |_, body| String::from_utf8_lossy(body).contains("\"hashes\":\"42\""),
};

#[test]
fn no_request_to_rng_fails_when_it_is_updated() {
    assert_unnoticed("rng", RNG, &[("DELAY", "0s")]);
}

#[test]
fn no_request_to_hasher_fails_when_it_is_updated() {
    assert_unnoticed("hasher", HASHER, &[("DELAY", "20ms")]);
}

#[test]
fn no_request_to_webui_fails_when_it_is_updated() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["SET", "hashes", "42"]);
    assert_unnoticed("webui", WEBUI, &[("REDIS_URL", &redis.url())]);
}

#[test]
fn without_a_shutdown_delay_the_same_update_fails_requests() {
    let settings = [("DELAY", "20ms"), ("SHUTDOWN_DELAY", "0s")];
    let Some(update) = update("hasher", HASHER, &settings) else { return };
    assert!(update.groups.iter().any(|group| !group.failures.is_empty()));
}

fn assert_unnoticed(name: &str, question: Question, settings: &[(&str, &str)]) {
    let settings = [settings, &[SHUTDOWN_DELAY]].concat();
    let Some(update) = update(name, question, &settings) else { return };
    let Update { groups, idle, by_old, by_new, time, complaints } = update;
    let failures: Vec<_> = groups.iter().flat_map(|group| &group.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}\n{complaints}");
    // The connection that lay idle had one, too.
    let answers = 1 + groups.iter().map(|group| group.answers).sum::<u64>();
    println!("{name}: {answers} answers, {by_old} by the old one, which ended after {time:.1?}");
    assert_eq!(by_old + by_new, answers);
    let [_, _, direct] = groups;
    assert!(direct.closes > 0, "a client was not asked to close its connection");
    idle.end().unwrap();
    assert!((TWO_SECONDS..TWO_SECONDS + SOON).contains(&time), "the old one took {time:?}");
}

/// An update and what came of it.
struct Update {
    /// Those of a balancer per request, of a balancer with keep-alive, and of none.
    groups: [Outcome; 3],
    /// A connection to the old service on which nothing was sent any more.
    idle: Connection,
    by_old: u64,
    by_new: u64,
    /// From the signal to the end of the old service.
    time: Duration,
    complaints: String,
}

/// Replaces a service under load.
fn update(name: &str, question: Question, settings: &[(&str, &str)]) -> Option<Update> {
    let balancers =
        [Balancer::start(Connections::PerRequest)?, Balancer::start(Connections::KeepAlive)?];
    let mut old = service(name, settings);
    balancers.iter().for_each(|balancer| balancer.add("old", &old));
    let start = |how, connections, address| {
        Clients::start(&format!("{name} {how}"), question, connections, address)
    };
    let groups = [
        start("per request", Connections::PerRequest, balancers[0].address()),
        start("with keep-alive", Connections::KeepAlive, balancers[1].address()),
        // As with kube-proxy, which leaves connections where they are.
        start("without a balancer", Connections::KeepAlive, old.address("LISTEN")),
    ];
    let idle = Connection::idle(old.address("LISTEN"), &question);
    groups.iter().for_each(Clients::go_on);

    let mut new = service(name, settings);
    balancers.iter().for_each(|balancer| balancer.add("new", &new));
    groups.iter().for_each(Clients::go_on);

    balancers.iter().for_each(|balancer| balancer.watch("old"));
    let told = Instant::now();
    old.terminate();
    eventually(PATIENCE, "the old one is out", || {
        balancers.iter().all(|balancer| !balancer.uses("old"))
    });
    groups[2].redirect(new.address("LISTEN"));
    assert_eq!(old.wait(PATIENCE).code(), Some(0), "{name}");
    let time = told.elapsed();
    groups.iter().for_each(Clients::go_on);

    let groups = groups.map(Clients::stop);
    let [reuses_per_request, reuses] = balancers.each_ref().map(|balancer| balancer.reuses("old"));
    assert!(reuses_per_request == 0 && reuses > 0, "{reuses_per_request} and {reuses} reuses");
    let complaints = balancers.map(|balancer| balancer.complaints()).join("\n");
    Some(Update {
        groups,
        idle,
        by_old: count(&old, ANSWERED),
        by_new: answered_in_all(&mut new),
        time,
        complaints,
    })
}

#[test]
fn no_hash_is_lost_when_everything_is_updated() {
    mine(Connections::PerRequest, "per-request");
}

#[test]
fn no_hash_is_lost_when_everything_is_updated_and_connections_are_kept() {
    mine(Connections::KeepAlive, "keep-alive");
}

#[test]
fn no_hash_is_lost_when_everything_is_updated_and_all_share_a_connection() {
    mine(Connections::Forwarded, "http2");
}

/// Replaces rng, hasher and worker at once.
fn mine(connections: Connections, name: &str) {
    let Some(redis) = Redis::start() else { return };
    let Some(rng) = Balancer::start(connections) else { return };
    let Some(hasher) = Balancer::start(connections) else { return };
    let services = || {
        let hasher = [("DELAY", "20ms"), SHUTDOWN_DELAY];
        [service("rng", &[("DELAY", "0s"), SHUTDOWN_DELAY]), service("hasher", &hasher)]
    };
    let (rng_url, hasher_url) =
        (format!("http://{}", rng.address()), format!("http://{}", hasher.address()));
    // A connection that all share ends once, and then many requests should be on their way.
    let delay = if connections == Connections::Forwarded { "0s" } else { "50ms" };
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
    let mine_more = |worker: &Process| {
        let before = count(worker, REPORTED);
        eventually(PATIENCE, "more reports", || count(worker, REPORTED) >= before + 3);
    };

    let mut old = services();
    rng.add("old", &old[0]);
    hasher.add("old", &old[1]);
    let mut old_worker = worker();
    mine_more(&old_worker);

    let mut new = services();
    rng.add("new", &new[0]);
    hasher.add("new", &new[1]);
    let mut new_worker = worker();
    mine_more(&new_worker);

    rng.watch("old");
    hasher.watch("old");
    old.iter().for_each(Process::terminate);
    mine_more(&old_worker);
    old_worker.terminate();
    assert_eq!(old_worker.wait(PATIENCE).code(), Some(0));
    for service in &mut old {
        assert_eq!(service.wait(PATIENCE).code(), Some(0));
    }
    mine_more(&new_worker);
    new_worker.terminate();
    assert_eq!(new_worker.wait(PATIENCE).code(), Some(0));

    for worker in [&old_worker, &new_worker] {
        let trouble = [" ERROR ", " WARN ", "restarting"].map(|word| count(worker, word));
        let complaints = [&rng, &hasher].map(Balancer::complaints).join("\n");
        assert_eq!(trouble, [0; 3], "{}\n{complaints}", worker.lines().join("\n"));
    }
    let (by_old, by_new) = (count(&old[1], ANSWERED), answered_in_all(&mut new[1]));
    println!("{name}: {} hashes, {by_old} by the old hasher", redis.hashes());
    assert_eq!(hasher.reuses("old") > 0, connections == Connections::KeepAlive);
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
    for turn in 0..4 {
        let before = redis.hashes();
        eventually(PATIENCE, "more hashes", || redis.hashes() > before + 100);
        let (which, name) = [(0, "rng"), (1, "hasher")][turn % 2];
        services[which].terminate();
        assert_eq!(services[which].wait(PATIENCE).code(), Some(0));
        hashed += count(&services[which], HASHED);
        let same = [("DELAY", "0s"), ("LISTEN", addresses[which].as_str())];
        services[which] = service(name, &same);
    }
    let before = redis.hashes();
    eventually(PATIENCE, "more hashes", || redis.hashes() > before + 100);
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).code(), Some(0));
    services[1].terminate();
    assert_eq!(services[1].wait(PATIENCE).code(), Some(0));
    assert_eq!(redis.hashes(), hashed + count(&services[1], HASHED), "{:#?}", worker.lines());
}

/// Starts a service on free ports.
fn service(name: &str, settings: &[(&str, &str)]) -> Process {
    Process::service(testkit::sibling(env!("CARGO_BIN_EXE_dockercoins"), name), settings)
}

/// How many lines of its log contain a text.
fn count(process: &Process, text: &str) -> u64 {
    process.lines().iter().filter(|line| line.contains(text)).count() as u64
}

/// How many requests a service has answered. Ends it, so that the last lines of its log are there.
fn answered_in_all(service: &mut Process) -> u64 {
    service.kill();
    service.wait(PATIENCE);
    count(service, ANSWERED)
}
