//! What the real programs print.

use serde_json::Value;
use testkit::{Process, Redis, http};

use crate::programs::{PATIENCE, application, service};

#[test]
fn an_access_line_is_in_common_log_format() {
    for (name, request, expected) in [
        ("rng", "GET /32", "\"GET /32 HTTP/1.1\" 200 32"),
        ("rng", "HEAD /32", "\"HEAD /32 HTTP/1.1\" 200 "),
        ("rng", "GET /abc?x=%22y", "\"GET /abc?x=%22y HTTP/1.1\" 404 0"),
        ("hasher", "POST /", "\"POST / HTTP/1.1\" 200 64"),
        ("webui", "GET /", "\"GET / HTTP/1.1\" 302 0"),
        ("webui", "GET /favicon.svg", "\"GET /favicon.svg HTTP/1.1\" 200 "),
    ] {
        let process = service(name, &[]);
        // The answer to HEAD promises a body that never comes.
        let mut stream = http::ask(process.address("LISTEN"), request, b"").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        let line = process.wait_for(" HTTP/1.1\" ", PATIENCE);
        let (_, entry) = line.split_once("  INFO ").expect("a level");
        let (client, rest) = entry.split_once(" - - [").expect("client, no identity, no user");
        let (time, rest) = rest.split_once("] ").expect("a time in brackets");
        assert_eq!(client, "127.0.0.1");
        assert!(rest.starts_with(expected), "{expected:?} is not the start of {rest:?}");
        assert!(rest.split(' ').next_back().unwrap().parse::<u64>().is_ok(), "{rest}");
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let (month, others) = (&shape[3..6], format!("{}{}", &shape[..3], &shape[6..]));
        assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(month), "{time}");
        assert_eq!(others, "00//0000:00:00:00 +0000", "{time}");
    }
}

#[test]
fn json_logs_are_one_object_a_line_from_the_first_line_to_the_last() {
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
    let lost = service("worker", &[json]);
    http::get(webui.address("LISTEN"), "/index.html");
    worker.wait_for("Doing one unit of work", PATIENCE);
    hasher.wait_for("POST", PATIENCE);
    lost.wait_for("Waiting 10s and restarting.", PATIENCE);
    for mut process in [rng, hasher, webui, worker, lost] {
        process.terminate();
        assert_eq!(process.wait(PATIENCE).code(), Some(0));
        assert_all_json(&process);
    }
    let app = application(&[&format!("--redis={}", redis.url())], &[json]);
    let line = app.wait_for("GET", PATIENCE);
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
