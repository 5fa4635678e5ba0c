//! The application in one process, as `cargo run` starts it.

use std::{net::SocketAddr, path::Path};

use serde_json::Value;
use testkit::{Client, Process, Redis, eventually};

use crate::programs::{NO_REDIS, TIMEOUT, application, assert_ends_soon, path};

/// The address of the page, as the application logs it.
fn page(app: &Process) -> SocketAddr {
    let line = app.wait_for("DockerCoins is mining: http://localhost:", TIMEOUT);
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

/// Hashes and coins from `/json`.
fn counters(app: &Process) -> (u64, u64) {
    let response = Client::get(page(app), "/json");
    assert_eq!(response.status, 200, "{}", response.text());
    let counters: Value = serde_json::from_slice(&response.body).unwrap();
    assert!(counters["now"].as_f64().unwrap() > 1.7e9, "{counters}");
    let hashes = counters["hashes"].as_str().map_or(0, |hashes| hashes.parse().unwrap());
    (hashes, counters["coins"].as_u64().unwrap())
}

#[test]
fn with_json_logs_every_line_is_json_and_healthcheck_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("LOG_FORMAT", "json")];
    let mut app = application(&[&data_flag(folder.path()), "--fast"], &env);
    let port = app.wait_until(TIMEOUT, "the admin port", |lines| {
        let line = lines.iter().find(|line| line.contains("(--admin-port)"))?;
        let address = line.split("127.0.0.1:").nth(1)?;
        address.split(' ').next()?.parse::<u16>().ok()
    });
    app.wait_for("DockerCoins is mining", TIMEOUT);
    let port = port.to_string();
    let healthcheck = || {
        let args = ["--admin-port", &port, "healthcheck"];
        Process::start(path("dockercoins"), &args, &[]).wait(TIMEOUT).code()
    };
    assert_eq!(healthcheck(), Some(0));
    assert_ends_soon("dockercoins", &mut app, Process::interrupt);
    assert_eq!(healthcheck(), Some(1));
    for line in app.lines() {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(app.lines().last().is_some_and(|line| line.contains("Mined ")));
}

fn data_flag(folder: &Path) -> String {
    format!("--data={}", folder.join("folder").join("coins.redb").display())
}

#[test]
fn the_application_mines_serves_the_page_and_continues_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let mut app = application(&[&data, "--fast"], &[]);
    eventually(TIMEOUT, "coins are mined", || counters(&app).1 > 0);
    let index = Client::get(page(&app), "/index.html");
    assert_eq!(index.status, 200);
    assert!(index.text().contains("DockerCoin Miner WebUI"), "{}", index.text());
    assert_ends_soon("dockercoins --fast", &mut app, Process::interrupt);

    let lines = app.lines();
    let [.., summary, stages] = &lines[..] else { panic!("{lines:?}") };
    let words: Vec<&str> = summary.split(' ').collect();
    let ["Mined", hashes, "hashes", "and", coins, "coins", "in", seconds, "s:", speed, "hashes/s"] =
        words[..]
    else {
        panic!("{summary}");
    };
    let (seconds, speed): (f64, f64) = (seconds.parse().unwrap(), speed.parse().unwrap());
    let (hashes, coins): (u64, u64) = (hashes.parse().unwrap(), coins.parse().unwrap());
    assert!(seconds > 0.0 && speed > 0.0, "{summary}");
    assert!(stages.starts_with("Mean time of a unit of work: pause "), "{stages}");

    let again = application(&[&data], &[]);
    let after = counters(&again);
    assert!(after.0 >= hashes && after.1 == coins, "{after:?} after {summary}");
}

#[test]
fn after_a_crash_the_file_holds_every_acknowledged_batch() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let mut stored = 0;
    for _ in 0..3 {
        let mut app = application(&[&data, "--fast"], &[]);
        let flushes = |lines: &[String]| -> Vec<u64> {
            let units = lines.iter().filter_map(|line| {
                line.strip_suffix(" units of work done, updating hash counter")?.rsplit(' ').next()
            });
            units.map(|units| units.parse().unwrap()).collect()
        };
        app.wait_until(TIMEOUT, "two flushes", |lines| (flushes(lines).len() > 2).then_some(()));
        app.kill();
        // The last flush may or may not have reached the file.
        let flushes = flushes(&app.lines());
        let (last, others) = flushes.split_last().unwrap();
        let minimum = stored + others.iter().sum::<u64>();
        let app = application(&[&data, "--workers=1"], &[]);
        stored = counters(&app).0;
        assert!((minimum..=minimum + last).contains(&stored), "{stored} after {flushes:?}");
    }
}

#[test]
fn a_second_application_with_the_same_file_or_port_exits_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let first = application(&[&data], &[]);
    let port = page(&first).port();

    let mut second = application(&[&data], &[]);
    assert_eq!(second.wait(TIMEOUT).code(), Some(2));
    let errors = second.errors();
    assert!(errors.len() == 1 && errors[0].starts_with("error: --data: "), "{errors:?}");
    assert!(errors[0].contains("coins.redb") && errors[0].contains("already open"), "{errors:?}");

    let other = tempfile::tempdir().unwrap();
    let args = [
        data_flag(other.path()),
        format!("--webui-port={port}"),
        "--rng-port=0".to_owned(),
        "--hasher-port=0".to_owned(),
        "--admin-port=0".to_owned(),
    ];
    let args = args.each_ref().map(String::as_str);
    let mut third = Process::start(env!("CARGO_BIN_EXE_dockercoins"), &args, &[]);
    assert_eq!(third.wait(TIMEOUT).code(), Some(2));
    let errors = third.errors();
    let words = format!("error: --webui-port: cannot listen on 127.0.0.1:{port}: it is already");
    assert!(errors.len() == 1 && errors[0].starts_with(&words), "{errors:?}");
}

#[test]
fn with_a_redis_url_the_coins_are_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let settings = [("HOME", home.path().to_str().unwrap())];
    let mut app =
        application(&[&format!("--redis={}", redis.url()), "--fast", "--workers=4"], &settings);
    eventually(TIMEOUT, "coins are in redis", || !redis.wallet().is_empty());
    assert_ends_soon("dockercoins --redis", &mut app, Process::terminate);
    let summary = app.wait_for("Mined ", TIMEOUT);
    assert_eq!(redis.hashes(), summary.split(' ').nth(1).unwrap().parse::<u64>().unwrap());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn without_redis_the_page_is_served_and_the_log_names_the_error() {
    let (_, url) = NO_REDIS;
    let app = application(&[&format!("--redis={url}")], &[]);
    app.wait_for(" ERROR 127.0.0.1:1: ", TIMEOUT);
    app.wait_for(" ERROR Waiting 10s and restarting.", TIMEOUT);
    assert_eq!(Client::get(page(&app), "/index.html").status, 200);
    assert_eq!(Client::get(page(&app), "/json").status, 503);
}

#[test]
fn the_default_file_is_in_the_data_folder_of_the_user() {
    let home = tempfile::tempdir().unwrap();
    let xdg = home.path().join("xdg");
    let (home_name, xdg_name) = (home.path().to_str().unwrap(), xdg.to_str().unwrap());
    let app = application(&[], &[("HOME", home_name)]);
    page(&app);
    assert!(home.path().join(".local/share/dockercoins/dockercoins.redb").is_file());
    let app = application(&[], &[("HOME", home_name), ("XDG_DATA_HOME", xdg_name)]);
    page(&app);
    assert!(xdg.join("dockercoins/dockercoins.redb").is_file());
    let mut app = application(&[], &[]);
    assert_eq!(app.wait(TIMEOUT).code(), Some(2));
    assert!(app.errors()[0].starts_with("error: --data: "), "{:?}", app.errors());
}

#[test]
fn every_worker_mines_and_every_rng_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let app = application(&[&data_flag(folder.path()), "--workers=3", "--rngs=2"], &[]);
    for part in ["rng_1     | ", "rng_2     | "] {
        app.wait_until(TIMEOUT, part, |lines| {
            let served = |line: &&String| {
                line.starts_with(part) && line.contains("\"GET /32 HTTP/1.1\" 200 32")
            };
            lines.iter().find(served).map(drop)
        });
    }
    for part in ["worker_1  | ", "worker_2  | ", "worker_3  | "] {
        app.wait_until(TIMEOUT, part, |lines| {
            let mined = |line: &&String| line.starts_with(part) && !line.contains(" 0 units");
            lines.iter().find(mined).map(drop)
        });
    }
    app.wait_until(TIMEOUT, "hasher_1", |lines| {
        lines.iter().find(|line| line.starts_with("hasher_1  | ")).map(drop)
    });
}

#[test]
fn fast_logs_no_access_lines_and_mines_faster() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = application(&[&data_flag(folder.path()), "--fast"], &[]);
    let start = std::time::Instant::now();
    eventually(TIMEOUT, "a hundred hashes", || counters(&app).0 > 100);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    app.terminate();
    app.wait(TIMEOUT);
    let lines = app.lines();
    assert!(!lines.iter().any(|line| line.contains("HTTP/1.1")), "{}", lines.join("\n"));
}
