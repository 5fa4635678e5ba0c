//! What webui answers over real sockets, with a real redis and without one.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod coins;
mod counters;
mod events;
mod page;
mod redis_away;

use std::{path::Path, process::Command, time::SystemTime};

use chassis::{Limits, defaults};
use serde_json::Value;
use store::{Batch, Coin, Store};
use testkit::{
    Process, Redis, Service, build,
    http::{self, Answer},
    metrics,
};

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
    // A client of redis is made within a runtime.
    start_with(&defaults(), || Store::redis(&url).unwrap())
}

fn memory() -> Store {
    Store::memory().unwrap()
}

fn start_with_files(folder: &Path) -> Service {
    start_with(&webui::Settings { files: Some(folder.to_owned()) }, memory)
}

fn get(service: &Service, path: &str) -> Answer {
    http::get(service.address, path)
}

fn json(service: &Service) -> Value {
    let answer = get(service, "/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn add(store: &Store, hashes: u64) {
    let coin = Coin { hash: "0".repeat(64), bytes: [7; 32] };
    let batch = Batch { run: "test".to_owned(), sequence: 1, hashes, coins: vec![coin] };
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

/// How often redis has been asked for the coins.
fn reads(redis: &Redis) -> u32 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = stats.split_once("cmdstat_hlen:calls=").and_then(|(_, rest)| rest.split_once(','));
    calls.unwrap().0.parse().unwrap()
}

fn signal(name: &str, id: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
    assert!(status.unwrap().success());
}

#[test]
fn prometheus_learns_which_program_it_is() {
    let webui = Process::service(env!("CARGO_BIN_EXE_webui"), &[]);
    let metrics = metrics(webui.address("ADMIN_LISTEN"));
    assert_eq!(metrics[&build("webui")], 1.0);
}
