//! The application in one process, as `cargo run` starts it.

use std::{net::SocketAddr, path::Path};

use serde_json::Value;
use testkit::{Process, Redis, eventually, http};

use crate::programs::{NO_REDIS, PATIENCE, application, assert_ends_soon, path};

/// The address that it prints for people.
fn page(app: &Process) -> SocketAddr {
    let line = app.wait_for("DockerCoins is mining: http://localhost:", PATIENCE);
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

/// Hashes and coins as `/json` has them.
fn counters(app: &Process) -> (u64, u64) {
    let answer = http::get(page(app), "/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let counters: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(counters["now"].as_f64().unwrap() > 1.7e9, "{counters}");
    let hashes = counters["hashes"].as_str().map_or(0, |hashes| hashes.parse().unwrap());
    (hashes, counters["coins"].as_u64().unwrap())
}

#[test]
fn every_line_is_json_on_request_and_healthcheck_knows_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("LOG_FORMAT", "json")];
    let mut app = application(&[&data_flag(folder.path()), "--fast"], &env);
    let port = app.wait_until(PATIENCE, "the admin port", |lines| {
        let line = lines.iter().find(|line| line.contains("(--admin-port)"))?;
        let address = line.split("127.0.0.1:").nth(1)?;
        address.split(' ').next()?.parse::<u16>().ok()
    });
    app.wait_for("DockerCoins is mining", PATIENCE);
    let port = port.to_string();
    let healthcheck = || {
        let args = ["--admin-port", &port, "healthcheck"];
        Process::start(path("dockercoins"), &args, &[]).wait(PATIENCE).code()
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
fn it_mines_shows_the_page_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let mut app = application(&[&data, "--fast"], &[]);
    eventually(PATIENCE, "coins are mined", || counters(&app).1 > 0);
    let index = http::get(page(&app), "/index.html");
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
fn a_crash_leaves_every_acknowledged_batch_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let mut stored = 0;
    for _ in 0..3 {
        let mut app = application(&[&data, "--fast"], &[]);
        let reports = |lines: &[String]| -> Vec<u64> {
            let units = lines.iter().filter_map(|line| {
                line.strip_suffix(" units of work done, updating hash counter")?.rsplit(' ').next()
            });
            units.map(|units| units.parse().unwrap()).collect()
        };
        app.wait_until(PATIENCE, "two reports", |lines| (reports(lines).len() > 2).then_some(()));
        app.kill();
        // The last report may or may not have got there.
        let reports = reports(&app.lines());
        let (last, others) = reports.split_last().unwrap();
        let least = stored + others.iter().sum::<u64>();
        let app = application(&[&data, "--workers=1"], &[]);
        stored = counters(&app).0;
        assert!((least..=least + last).contains(&stored), "{stored} after {reports:?}");
    }
}

#[test]
fn a_second_one_on_the_same_file_or_port_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = data_flag(folder.path());
    let first = application(&[&data], &[]);
    let port = page(&first).port();

    let mut second = application(&[&data], &[]);
    assert_eq!(second.wait(PATIENCE).code(), Some(2));
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
    assert_eq!(third.wait(PATIENCE).code(), Some(2));
    let errors = third.errors();
    let words = format!("error: --webui-port: cannot listen on 127.0.0.1:{port}: it is already");
    assert!(errors.len() == 1 && errors[0].starts_with(&words), "{errors:?}");
}

#[test]
fn it_keeps_the_coins_in_redis_when_told_to() {
    let Some(redis) = Redis::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let settings = [("HOME", home.path().to_str().unwrap())];
    let mut app =
        application(&[&format!("--redis={}", redis.url()), "--fast", "--workers=4"], &settings);
    eventually(PATIENCE, "coins are in redis", || !redis.wallet().is_empty());
    assert_ends_soon("dockercoins --redis", &mut app, Process::terminate);
    let summary = app.wait_for("Mined ", PATIENCE);
    assert_eq!(redis.hashes(), summary.split(' ').nth(1).unwrap().parse::<u64>().unwrap());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn without_its_redis_it_shows_the_page_and_says_what_is_missing() {
    let (_, url) = NO_REDIS;
    let app = application(&[&format!("--redis={url}")], &[]);
    app.wait_for(" ERROR 127.0.0.1:1: ", PATIENCE);
    app.wait_for(" INFO Waiting 10s and restarting.", PATIENCE);
    assert_eq!(http::get(page(&app), "/index.html").status, 200);
    assert_eq!(http::get(page(&app), "/json").status, 503);
}

#[test]
fn the_default_file_is_where_the_desktop_keeps_data() {
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
    assert_eq!(app.wait(PATIENCE).code(), Some(2));
    assert!(app.errors()[0].starts_with("error: --data: "), "{:?}", app.errors());
}

#[test]
fn every_worker_mines_and_every_rng_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let app = application(&[&data_flag(folder.path()), "--workers=3", "--rngs=2"], &[]);
    for part in ["rng_1     | ", "rng_2     | "] {
        app.wait_until(PATIENCE, part, |lines| {
            let served = |line: &&String| {
                line.starts_with(part) && line.contains("\"GET /32 HTTP/1.1\" 200 32")
            };
            lines.iter().find(served).map(drop)
        });
    }
    for part in ["worker_1  | ", "worker_2  | ", "worker_3  | "] {
        app.wait_until(PATIENCE, part, |lines| {
            let mined = |line: &&String| line.starts_with(part) && !line.contains(" 0 units");
            lines.iter().find(mined).map(drop)
        });
    }
    app.wait_until(PATIENCE, "hasher_1", |lines| {
        lines.iter().find(|line| line.starts_with("hasher_1  | ")).map(drop)
    });
}

#[test]
fn fast_prints_no_access_lines_and_mines_faster_than_the_lesson() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = application(&[&data_flag(folder.path()), "--fast"], &[]);
    let start = std::time::Instant::now();
    eventually(PATIENCE, "a hundred hashes", || counters(&app).0 > 100);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    app.terminate();
    app.wait(PATIENCE);
    let lines = app.lines();
    assert!(!lines.iter().any(|line| line.contains("HTTP/1.1")), "{}", lines.join("\n"));
}
