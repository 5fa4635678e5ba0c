//! The logs of the real programs.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use testkit::{Client, FREE_PORTS, Process, Redis, Terminal};

use crate::programs::{SERVICES, TIMEOUT, application, path, service};

#[test]
fn an_access_line_is_in_common_log_format() {
    for (name, request, expected) in [
        ("rng", "GET /32", "\"GET /32 HTTP/1.1\" 200 32"),
        ("rng", "HEAD /32", "\"HEAD /32 HTTP/1.1\" 200 "),
        ("rng", "GET /abc?x=%22y", "\"GET /abc?x=%22y HTTP/1.1\" 404 58"),
        ("hasher", "POST /", "\"POST / HTTP/1.1\" 200 64"),
        ("webui", "GET /", "\"GET / HTTP/1.1\" 302 32"),
        ("webui", "GET /favicon.svg", "\"GET /favicon.svg HTTP/1.1\" 200 "),
    ] {
        let process = service(name, &[]);
        let port = process.address("LISTEN").port();
        let running = format!("  INFO {} running on port {port}", name.to_uppercase());
        process.wait_for(&running, TIMEOUT);
        // The response to HEAD has a length but no body.
        let client = Client::start(process.address("LISTEN"), request, b"").unwrap();
        std::io::copy(&mut client.into_reader(), &mut std::io::sink()).unwrap();
        let line = process.wait_for(" HTTP/1.1\" ", TIMEOUT);
        let (_, entry) = line.split_once("  INFO ").expect("a level");
        let (client, entry) = entry.split_once(" - - [").expect("client, no identity, no user");
        let (time, entry) = entry.split_once("] ").expect("a time in brackets");
        assert_eq!(client, "127.0.0.1");
        assert!(entry.starts_with(expected), "{expected:?} is not the start of {entry:?}");
        assert!(entry.split(' ').next_back().unwrap().parse::<u64>().is_ok(), "{entry}");
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let (month, others) = (&shape[3..6], format!("{}{}", &shape[..3], &shape[6..]));
        assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(month), "{time}");
        assert_eq!(others, "00//0000:00:00:00 +0000", "{time}");
    }
}

#[test]
fn a_terminal_with_colours_gets_them_and_others_do_not() {
    let log = |variables: &[(&str, &str)]| {
        let (terminal, stdout) = Terminal::open();
        // This path cannot exist, so the program exits after a few lines of its log.
        let application = Command::new(path("dockercoins"))
            .args(["--webui-port=0", "--rng-port=0", "--hasher-port=0", "--admin-port=0"])
            .arg("--data=/dev/null/coins.redb")
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(stdout)
            .stderr(Stdio::null())
            .status();
        assert_eq!(application.unwrap().code(), Some(2));
        terminal.received()
    };
    let xterm = ("TERM", "xterm-256color");
    for (variables, has_colours) in [
        (&[xterm][..], true),
        (&[xterm, ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
        (&[], false),
    ] {
        let log = log(variables);
        assert_eq!(log.contains('\x1b'), has_colours, "{variables:?}: {log:?}");
    }
}

#[test]
fn every_program_exits_with_2_even_if_its_output_cannot_be_written() {
    for name in SERVICES.into_iter().chain(["dockercoins", "load"]) {
        let full = || File::options().write(true).open("/dev/full");
        // Only Linux has this device.
        let (Ok(stdout), Ok(stderr)) = (full(), full()) else { return };
        let mut program = Command::new(path(name));
        program.env_clear().arg("--threads=none").stdout(stdout).stderr(stderr);
        assert_eq!(program.status().unwrap().code(), Some(2), "{name}");
    }
}

#[test]
fn a_service_works_even_if_its_log_cannot_be_written() {
    let mut rng = Command::new(path("rng"))
        .env_clear()
        .envs(FREE_PORTS)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(rng.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.into_iter().find_map(|line| {
        let address = line.strip_suffix(" (LISTEN)")?.rsplit(' ').next()?;
        address.parse().ok()
    });
    // Nothing reads stdout and stderr any more.
    drop(rng.stderr.take());
    let statuses = [(); 2].map(|()| Client::get(address.unwrap(), "/32").status);
    let still_runs = rng.try_wait().unwrap().is_none();
    rng.kill().unwrap();
    rng.wait().unwrap();
    assert_eq!((statuses, still_runs), ([200; 2], true));
}

#[test]
fn every_line_of_a_json_log_is_one_object() {
    let Some(redis) = Redis::start() else { return };
    let json = ("LOG_FORMAT", "json");
    let (rng, hasher) = (service("rng", &[json]), service("hasher", &[json]));
    let webui = service("webui", &[json]);
    let rng_url = format!("http://{}", rng.address("LISTEN"));
    let hasher_url = format!("http://{}", hasher.address("LISTEN"));
    let worker = service(
        "worker",
        &[
            json,
            ("RNG_URL", &rng_url),
            ("HASHER_URL", &hasher_url),
            ("REDIS_URL", &redis.url()),
            ("DEBUG", "y"),
        ],
    );
    let without_redis = service("worker", &[json]);
    Client::get(webui.address("LISTEN"), "/index.html");
    worker.wait_for("Doing one unit of work", TIMEOUT);
    hasher.wait_for("POST", TIMEOUT);
    without_redis.wait_for("Waiting 10s and restarting.", TIMEOUT);
    for mut process in [rng, hasher, webui, worker, without_redis] {
        process.terminate();
        assert_eq!(process.wait(TIMEOUT).code(), Some(0));
        assert_all_json(&process);
    }
    let app = application(&[&format!("--redis={}", redis.url())], &[json]);
    let line = app.wait_for("GET", TIMEOUT);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["method"], &line["path"], &line["status"]),
        (&Value::from("GET"), &Value::from("/32"), &Value::from(200))
    );
}

fn assert_all_json(process: &Process) {
    let lines = process.lines();
    assert!(lines.len() > 2);
    for line in &lines {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for key in ["timestamp", "level", "message", "target"] {
            assert!(object[key].is_string(), "{key} is not in {line}");
        }
    }
    assert!(lines.iter().any(|line| line.contains("SIGTERM received")), "{lines:?}");
}
