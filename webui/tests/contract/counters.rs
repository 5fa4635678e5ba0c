//! The counters at `/json`.

use std::{
    thread,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::Request};
use chassis::defaults;
use serde_json::Value;
use store::Store;
use testkit::{Client, Redis, TIMEOUT, eventually};
use tower::ServiceExt;

use crate::{add, get, json, memory, now, process_id, reads, signal, start, start_on};

#[test]
fn json_has_coins_hashes_and_the_time_of_the_reading() {
    let store = memory();
    let before = now();
    let service = start(store.clone());
    let response = get(&service, "/json");
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    let text = response.text();
    assert!(text.starts_with(r#"{"coins":0,"hashes":null,"now":"#), "{text}");
    let read = json(&service)["now"].as_f64().unwrap();
    assert!(before <= read && read <= now(), "{text}");
    assert!(text.split_once("now\":").unwrap().1.contains('.'), "no fraction: {text}");

    add(&store, 42);
    eventually(TIMEOUT, "the new count", || {
        get(&service, "/json").text().starts_with(r#"{"coins":1,"hashes":"42","now":"#)
    });
}

#[test]
fn json_has_the_counters_of_redis() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let first = json(&service);
    assert_eq!((&first["coins"], &first["hashes"]), (&0.into(), &Value::Null));
    // More than a number in JavaScript can represent.
    redis.cli(&["SET", "hashes", "9007199254740993"]);
    redis.cli(&["HSET", "wallet", "01", "bytes", "02", "bytes"]);
    eventually(TIMEOUT, "the new count", || {
        let reading = json(&service);
        (&reading["coins"], &reading["hashes"]) == (&2.into(), &"9007199254740993".into())
    });
}

#[test]
fn a_reading_begins_after_its_request() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let mut readings = Vec::new();
    for count in 1..=100 {
        let count = count.to_string();
        redis.cli(&["SET", "hashes", &count]);
        let before = now();
        let reading = json(&service);
        assert_eq!(reading["hashes"], count);
        let read = reading["now"].as_f64().unwrap();
        assert!(before <= read && read <= now(), "{before} {read}");
        readings.push(read);
    }
    assert!(readings.is_sorted());
}

#[test]
fn redis_is_read_at_most_twenty_times_a_second_with_any_number_of_clients() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    json(&service);
    let (started, before) = (Instant::now(), reads(&redis));
    let address = service.address;
    let in_time = || started.elapsed() < Duration::from_secs(2);
    let requests: usize = thread::scope(|scope| {
        let reads = || repeat(in_time, || assert_eq!(Client::get(address, "/json").status, 200));
        let disconnects = || repeat(in_time, || drop(Client::start(address, "GET /json", b"")));
        let page = || repeat(in_time, || drop(Client::get(address, "/index.html")));
        let mut clients: Vec<_> = (0..20).map(|_| scope.spawn(reads)).collect();
        clients.extend((0..10).map(|_| scope.spawn(disconnects)));
        clients.push(scope.spawn(page));
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let readings = f64::from(reads(&redis) - before);
    let limit = 20.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(readings <= limit, "{readings} readings, {limit} allowed");
    assert!(readings >= 2.0, "{readings} readings for two seconds");
    assert!(requests > 100, "only {requests} requests");
}

#[test]
fn values_that_cannot_be_read_are_named_and_the_others_are_shown() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    redis.cli(&["SET", "hashes", "abc"]);
    redis.cli(&["HSET", "wallet", "01", "bytes"]);
    redis.cli(&["EVAL", r"redis.call('HSET', 'dockercoins:workers', 'x', '\255')", "0"]);
    redis.cli(&["EVAL", r"redis.call('RPUSH', 'dockercoins:coins', '\255 1')", "0"]);
    let reading = json(&service);
    assert_eq!((&reading["coins"], &reading["hashes"]), (&1.into(), &"abc".into()));
    eventually(TIMEOUT, "the problems on the page", || {
        let page = get(&service, "/index.html").text();
        [
            "hashes is not a number",
            "dockercoins:workers is unreadable",
            "dockercoins:coins is unreadable",
        ]
        .iter()
        .all(|problem| page.contains(problem))
    });
    redis.cli(&["DEL", "hashes", "wallet"]);
    redis.cli(&["LPUSH", "hashes", "of another type"]);
    redis.cli(&["LPUSH", "wallet", "of another type"]);
    let reading = json(&service);
    assert_eq!((&reading["coins"], &reading["hashes"]), (&Value::Null, &Value::Null));
    redis.cli(&["FLUSHALL"]);
    eventually(TIMEOUT, "the page without problems", || {
        !get(&service, "/fragment").text().contains("<strong>")
    });
}

#[test]
fn clients_that_disconnect_early_cause_no_additional_readings() {
    let Some(redis) = Redis::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = {
        let _entered = runtime.enter();
        let store = Store::redis(&redis.url().parse().unwrap()).unwrap();
        webui::router(&defaults(), store, Default::default(), Default::default()).unwrap()
    };
    let request = || router.clone().oneshot(Request::get("/json").body(Body::empty()).unwrap());
    assert_eq!(runtime.block_on(request()).unwrap().status(), 200);

    let (started, before) = (Instant::now(), reads(&redis));
    let id = process_id(&redis);
    signal("STOP", &id);
    runtime.block_on(async {
        while started.elapsed() < Duration::from_secs(2) {
            // In process, because a server may not notice that a client disconnected.
            let _ = tokio::time::timeout(Duration::from_millis(10), request()).await;
        }
    });
    signal("CONT", &id);
    let readings = f64::from(reads(&redis) - before);
    // The page reads once a second as well.
    let limit = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(readings >= 1.0 && readings <= limit, "{readings} readings, {limit} allowed");
}

/// Repeats a request and returns the number of requests.
fn repeat(in_time: impl Fn() -> bool, request: impl Fn()) -> usize {
    let mut requests = 0;
    while in_time() {
        request();
        requests += 1;
        thread::sleep(Duration::from_millis(10));
    }
    requests
}
