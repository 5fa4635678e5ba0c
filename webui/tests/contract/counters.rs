//! The counters, as `/json` tells them.

use std::{
    thread,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::Request};
use chassis::defaults;
use serde_json::Value;
use store::Store;
use testkit::{PATIENCE, Redis, eventually, http};
use tower::ServiceExt;

use crate::{add, get, json, memory, now, process_id, reads, signal, start, start_on};

#[test]
fn json_tells_coins_hashes_and_when_they_were_read() {
    let store = memory();
    let before = now();
    let service = start(store.clone());
    let answer = get(&service, "/json");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = answer.text();
    assert!(text.starts_with(r#"{"coins":0,"hashes":null,"now":"#), "{text}");
    let read = json(&service)["now"].as_f64().unwrap();
    assert!(before <= read && read <= now(), "{text}");
    assert!(text.split_once("now\":").unwrap().1.contains('.'), "no fraction: {text}");

    add(&store, 42);
    eventually(PATIENCE, "the new count", || {
        get(&service, "/json").text().starts_with(r#"{"coins":1,"hashes":"42","now":"#)
    });
}

#[test]
fn json_reads_what_is_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let first = json(&service);
    assert_eq!((&first["coins"], &first["hashes"]), (&0.into(), &Value::Null));
    // More than a number in JavaScript can hold.
    redis.cli(&["SET", "hashes", "9007199254740993"]);
    redis.cli(&["HSET", "wallet", "01", "bytes", "02", "bytes"]);
    eventually(PATIENCE, "the new count", || {
        let reading = json(&service);
        (&reading["coins"], &reading["hashes"]) == (&2.into(), &"9007199254740993".into())
    });
}

#[test]
fn a_reading_is_never_older_than_half_a_second() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let started = Instant::now();
    let mut readings = Vec::new();
    while started.elapsed() < Duration::from_millis(1500) {
        let asked = now();
        let read = json(&service)["now"].as_f64().unwrap();
        assert!(asked - read <= 0.5, "{} s old", asked - read);
        readings.push(read);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(readings.is_sorted());

    for count in ["1", "2", "3"] {
        redis.cli(&["SET", "hashes", count]);
        thread::sleep(Duration::from_millis(600));
        assert_eq!(json(&service)["hashes"], count);
    }
}

#[test]
fn redis_is_read_three_times_a_second_at_most_whoever_asks_and_leaves() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    json(&service);
    let (started, before) = (Instant::now(), reads(&redis));
    let address = service.address;
    let in_time = || started.elapsed() < Duration::from_secs(2);
    let asked: usize = thread::scope(|scope| {
        let patient =
            || while_asking(in_time, || assert_eq!(http::get(address, "/json").status, 200));
        let hasty = || while_asking(in_time, || drop(http::ask(address, "GET /json", b"")));
        let page = || while_asking(in_time, || drop(http::get(address, "/index.html")));
        let mut askers: Vec<_> = (0..20).map(|_| scope.spawn(patient)).collect();
        askers.extend((0..10).map(|_| scope.spawn(hasty)));
        askers.push(scope.spawn(page));
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    let made = f64::from(reads(&redis) - before);
    let most = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(made <= most, "{made} readings, {most} allowed");
    assert!(made >= 3.0, "{made} readings for two seconds");
    assert!(asked > 100, "only {asked} asked");
}

#[test]
fn askers_that_leave_before_the_answer_make_redis_work_no_more() {
    let Some(redis) = Redis::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = {
        let _entered = runtime.enter();
        let store = Store::redis(&redis.url().parse().unwrap()).unwrap();
        webui::router(&defaults(), store, Default::default(), Default::default()).unwrap()
    };
    let ask = || router.clone().oneshot(Request::get("/json").body(Body::empty()).unwrap());
    assert_eq!(runtime.block_on(ask()).unwrap().status(), 200);

    let (started, before) = (Instant::now(), reads(&redis));
    let id = process_id(&redis);
    signal("STOP", &id);
    runtime.block_on(async {
        while started.elapsed() < Duration::from_secs(2) {
            // In process, because a server need not notice that a client has left.
            let _ = tokio::time::timeout(Duration::from_millis(10), ask()).await;
        }
    });
    signal("CONT", &id);
    let made = f64::from(reads(&redis) - before);
    let most = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(made >= 1.0 && made <= most, "{made} readings, {most} allowed");
}

/// Does something again and again, and says how often.
fn while_asking(in_time: impl Fn() -> bool, ask: impl Fn()) -> usize {
    let mut asked = 0;
    while in_time() {
        ask();
        asked += 1;
        thread::sleep(Duration::from_millis(10));
    }
    asked
}
