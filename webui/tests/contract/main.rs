//! Tests of webui over real sockets, with and without a real Redis.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod coins;
mod counters;
mod events;
mod history;
mod outages;
mod page;

use std::{path::Path, process::Command, sync::Arc, time::SystemTime};

use chassis::{Limits, defaults};
use serde_json::Value;
use store::{Batch, Coin, Store};
use testkit::{Client, Process, Redis, Response, Service, build, metrics};

fn start_with(settings: &webui::Settings, store: impl FnOnce() -> Store) -> Service {
    Service::start(Limits::default(), |stop| {
        webui::router(settings, store(), Default::default(), stop).unwrap()
    })
}

fn start(store: Store) -> Service {
    start_with(&defaults(), || store)
}

fn start_on(url: &str) -> Service {
    let url = url.parse().unwrap();
    // Creating a Redis client needs a runtime.
    start_with(&defaults(), || Store::redis(&url).unwrap())
}

fn memory() -> Store {
    Store::memory().unwrap()
}

fn start_with_files(folder: &Path) -> Service {
    start_with_store_and_files(memory(), folder)
}

fn start_with_store_and_files(store: Store, folder: &Path) -> Service {
    start_with(&webui::Settings { files: Some(folder.to_owned()) }, || store)
}

fn get(service: &Service, path: &str) -> Response {
    Client::get(service.address, path)
}

fn json(service: &Service) -> Value {
    let response = get(service, "/json");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

fn add(store: &Store, hashes: u64) {
    let coin = Coin { hash: "0".repeat(64), bytes: [7; 32] };
    add_coins(store, hashes, vec![coin]);
}

fn add_coins(store: &Store, hashes: u64, coins: Vec<Coin>) {
    let batch = Arc::new(Batch { run: "test".to_owned(), sequence: 1, hashes, coins });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.add(&batch)).unwrap();
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn process_id(redis: &Redis) -> String {
    let info = redis.cli(&["INFO", "server"]);
    let id = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    id.unwrap().trim().to_owned()
}

/// The number of times that the number of coins was read from Redis.
fn reads(redis: &Redis) -> u32 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls =
        stats.split_once("cmdstat_hlen:calls=").and_then(|(_, calls)| calls.split_once(','));
    calls.unwrap().0.parse().unwrap()
}

fn signal(name: &str, id: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_version_of_the_program_is_a_metric() {
    let webui = Process::service(env!("CARGO_BIN_EXE_webui"), &[]);
    let metrics = metrics(webui.address("ADMIN_LISTEN"));
    assert_eq!(metrics[&build("webui")], 1.0);
}
