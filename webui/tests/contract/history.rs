//! The curve survives a restart, and is the same in each replica.

use std::{sync::Arc, thread, time::Duration};

use store::{Batch, Heartbeat, Store};
use testkit::{Redis, Service, TIMEOUT, eventually};

use crate::{get, start, start_on};

/// How long a curve may take on a busy machine.
const CURVE: Duration = Duration::from_secs(60);

/// A worker that sends heartbeats and adds work until the end of the process.
fn work(store: impl Fn() -> Store + Send + 'static) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = store();
            for second in 1.. {
                let hashes = 5 * second;
                let heartbeat = Heartbeat { pause: Some(0.1), hashes, ..Heartbeat::default() };
                store.heartbeat("run", &heartbeat).await.unwrap();
                let coins = Vec::new();
                let batch = Batch { run: "run".to_owned(), sequence: second, hashes: 5, coins };
                store.add(&Arc::new(batch)).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    });
}

/// The points of the chart, oldest first, without the newest ones.
fn points(service: &Service) -> Vec<String> {
    let html = get(service, "/fragment?window=1").text();
    let (_, points) = html.split_once("\"points\":[").unwrap();
    let (points, _) = points.split_once("]}").unwrap();
    let points = points.trim();
    let mut points: Vec<_> =
        points.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    points.truncate(points.len().saturating_sub(2));
    points
}

#[test]
fn replicas_show_the_same_curve_and_a_new_one_has_it_at_once() {
    let Some(redis) = Redis::start() else { return };
    let url: store::RedisUrl = redis.url().parse().unwrap();
    work(move || Store::redis(&url).unwrap());
    let (first, second) = (start_on(&redis.url()), start_on(&redis.url()));
    eventually(CURVE, "a curve", || points(&first).len() >= 6);
    eventually(CURVE, "the same curve", || {
        let (one, other) = (points(&first), points(&second));
        let count = one.len().min(other.len());
        count >= 6 && one[..count] == other[..count]
    });
    let before = points(&first);
    first.stop();
    second.stop();
    let third = start_on(&redis.url());
    eventually(TIMEOUT, "the old curve", || {
        points(&third).windows(before.len()).any(|points| points == before)
    });
    assert!(redis.cli(&["ZCARD", "dockercoins:history"]).parse::<usize>().unwrap() >= before.len());
}

#[test]
fn the_curve_survives_a_restart_with_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::file(&folder.path().join("coins")).unwrap();
    let shared = store.clone();
    work(move || shared.clone());
    let first = start(store.clone());
    eventually(CURVE, "a curve", || points(&first).len() >= 6);
    let before = points(&first);
    first.stop();
    let second = start(store);
    eventually(TIMEOUT, "the old curve", || {
        points(&second).windows(before.len()).any(|points| points == before)
    });
}

#[test]
fn without_a_place_for_the_history_the_curve_goes_on() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["SET", "dockercoins:history", "of another type"]);
    let url: store::RedisUrl = redis.url().parse().unwrap();
    work(move || Store::redis(&url).unwrap());
    let service = start_on(&redis.url());
    eventually(CURVE, "a curve", || points(&service).len() >= 3);
}
