//! Settings of the real programs: which are ignored, and which are rejected with which error.

use std::net::TcpListener;

use testkit::{Client, FREE_PORTS, Process, Redis, eventually, metrics};

use crate::programs::{SERVICES, TIMEOUT, path, service};

/// A program with arguments and variables that it must reject, and words of its error.
type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

/// Expects exit code 2 and one line on stderr with these words, and returns the line.
fn assert_rejected((name, args, env, words): Case<'_>) -> String {
    // If it is not rejected, the program at least uses free ports.
    let mut process = Process::start(path(name), args, &[&FREE_PORTS, env].concat());
    let code = process.wait(TIMEOUT).code();
    let errors = process.errors();
    assert_eq!((code, errors.len()), (Some(2), 1), "{name} {args:?} {env:?}: {errors:?}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is not in {:?}", errors[0]);
    }
    errors[0].clone()
}

#[test]
fn every_program_rejects_an_invalid_setting_with_one_line_and_a_valid_example() {
    for name in SERVICES.into_iter().chain(["dockercoins"]) {
        let cases: [Case<'_>; 10] = [
            (name, &["--no-such-flag"], &[], &["--no-such-flag"]),
            (name, &["surprise"], &[], &["surprise"]),
            (name, &[], &[("SHUTDOWN_TIMEOUT", "soon")], &["SHUTDOWN_TIMEOUT", "'soon'", "2s"]),
            (name, &[], &[("SHUTDOWN_DELAY", "5")], &["SHUTDOWN_DELAY", "'5'", "2s"]),
            (name, &["--shutdown-delay=-1s"], &[], &["--shutdown-delay", "'-1s'", "2s"]),
            (name, &[], &[("LOG_FORMAT", "xml")], &["LOG_FORMAT", "'xml'", "text, json"]),
            (
                name,
                &[],
                &[("RUST_LOG", "rng=loud")],
                &["RUST_LOG", "'rng=loud'", "info,access=off"],
            ),
            (name, &[], &[("RUST_LOG", "inof")], &["RUST_LOG", "'inof'", "info,access=off"]),
            (name, &[], &[("RUST_LOG", "a=b=c")], &["RUST_LOG", "'a=b=c'", "info,access=off"]),
            (
                name,
                &[],
                &[("IGNORE_SIGTERM", "maybe")],
                &["IGNORE_SIGTERM", "'maybe'", "right would be on"],
            ),
        ];
        for case in cases {
            assert_rejected(case);
        }
    }
}

#[test]
fn a_service_rejects_an_invalid_setting_with_one_line_and_a_valid_example() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (missing, file) = (folder.path().join("missing"), file.display().to_string());
    let missing = missing.display().to_string();
    let url = "http://rng/ or http://10.0.0.1:8080/";
    let cases: &[Case<'_>] = &[
        ("rng", &[], &[("DELAY", "fast")], &["DELAY", "'fast'", "100ms"]),
        ("rng", &[], &[("LANES", "0")], &["LANES", "0", "from 1 to 65535"]),
        ("rng", &[], &[("LANES", "many")], &["LANES", "'many'", "from 1 to 65535"]),
        ("rng", &[], &[("MAX_BYTES", "lots")], &["MAX_BYTES", "'lots'", "64KiB"]),
        ("rng", &[], &[("LISTEN", "80")], &["LISTEN", "'80'", "[::]:8080"]),
        ("rng", &[], &[("LISTEN", "localhost:80")], &["LISTEN", "[::]:8080"]),
        ("rng", &[], &[("ADMIN_LISTEN", "x")], &["ADMIN_LISTEN", "'x'", "[::]:8080"]),
        ("hasher", &[], &[("MAX_BODY", "-1")], &["MAX_BODY", "'-1'", "64KiB"]),
        ("hasher", &[], &[("DELAY", "1 parsec")], &["DELAY", "'1 parsec'", "100ms"]),
        ("webui", &[], &[("FILES", &missing)], &["FILES", &missing, "FILES=./webui/files"]),
        ("webui", &[], &[("FILES", &file)], &["FILES", &file, "FILES=./webui/files"]),
        ("webui", &[], &[("REDIS_URL", "http://redis")], &["REDIS_URL", "redis://redis:6379"]),
        ("worker", &[], &[("RNG_URL", "https://rng/")], &["RNG_URL", "'https://rng/'", url]),
        ("worker", &[], &[("RNG_URL", "rng:80")], &["RNG_URL", "'rng:80'", url]),
        ("worker", &[], &[("HASHER_URL", "http://")], &["HASHER_URL", "'http://'", url]),
        ("worker", &[], &[("REDIS_URL", "redis")], &["REDIS_URL", "redis://redis:6379"]),
        ("worker", &[], &[("REDIS_URL", "redis://h:x")], &["REDIS_URL", "redis://redis:6379"]),
        ("worker", &[], &[("CONCURRENCY", "0")], &["CONCURRENCY", "from 1 to 65535"]),
        ("worker", &[], &[("INTERVAL", "x")], &["INTERVAL", "'x'", "100ms"]),
        ("worker", &[], &[("RETRY", "x")], &["RETRY", "'x'", "100ms"]),
        ("worker", &[], &[("TIMEOUT", "x")], &["TIMEOUT", "'x'", "100ms"]),
        ("worker", &[], &[("CONNECTIONS", "2")], &["CONNECTIONS", "per-request, keep-alive"]),
        ("worker", &[], &[("COIN_PREFIX", "xyz")], &["COIN_PREFIX", "'xyz'", "0 or 0000"]),
        ("worker", &[], &[("COIN_PREFIX", "0A")], &["COIN_PREFIX", "'0A'", "0 or 0000"]),
        ("worker", &["--concurrency", "4\n"], &[], &["--concurrency", r"'4\n'", "1 or 10"]),
        ("worker", &[], &[("TIMEOUT", "1M")], &["TIMEOUT", "'1M'", "minutes or months", "1m30s"]),
        ("worker", &[], &[("TIMEOUT", "400d")], &["TIMEOUT", "'400d'", "at most 365d"]),
        ("load", &["--duration=400d"], &[], &["--duration", "'400d'", "at most 365d"]),
        ("load", &["--duration=0s"], &[], &["--duration", "'0s'", "above 0s"]),
        ("load", &["--duration=1M"], &[], &["--duration", "'1M'", "minutes or months"]),
        (
            "worker",
            &[],
            &[("REDIS_URL", "redis://h/?db=3")],
            &["'?db='", "the path selects the database", "6380/0"],
        ),
        ("worker", &[], &[("REDIS_URL", "redis://h/3#x")], &["'#'", "redis://redis:6379"]),
        ("worker", &[], &[("REDIS_URL", "redis://me@h")], &["a user without", ":password@host"]),
        ("load", &["--duration=1s", "--expect=p99<1M"], &[], &["p99<1M"]),
        ("worker", &[], &[("TIMEOUT", "1M30s")], &["TIMEOUT", "minutes or months"]),
        ("dockercoins", &["--workers=0"], &[], &["--workers", "from 1 to 65535"]),
        ("dockercoins", &["--rngs=0"], &[], &["--rngs", "from 1 to 65535"]),
        ("dockercoins", &["--webui-port=x"], &[], &["--webui-port", "'x'", "8000"]),
        ("dockercoins", &["--redis=http://x"], &[], &["--redis", "redis://redis:6379"]),
        ("dockercoins", &["--redis=redis://x", "--data=x"], &[], &["--redis", "--data"]),
    ];
    for &case in cases {
        assert_rejected(case);
    }
}

#[test]
fn a_password_in_an_invalid_url_is_never_shown() {
    for url in [
        "redis://:s3cret@redis:port",
        "redis://:s3cret",
        "redis://someone:s3cret@",
        "http://:s3cret@redis",
        "redis:s3cret@redis",
        "s3cret@redis:6379",
        "redis://:s3c#ret@s3cret@redis:6379/x",
        "redis://me:12?s3cret@redis",
        "redis://s3cret@redis",
    ] {
        let words = ["redis://redis:6379"];
        for name in ["worker", "webui"] {
            let line = assert_rejected((name, &[], &[("REDIS_URL", url)], &words));
            assert!(line.contains("REDIS_URL") && !line.contains("s3c"), "{line}");
        }
        let line = assert_rejected(("dockercoins", &["--redis", url], &[], &words));
        assert!(line.contains("--redis") && !line.contains("s3c"), "{line}");
    }
    let line = assert_rejected(("worker", &["redis://:s3cret@redis"], &[], &[]));
    assert!(!line.contains("s3cret"), "{line}");
}

#[test]
fn an_unavailable_address_is_rejected_with_one_line_and_a_valid_example() {
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap();
    let (address, port) = (used.to_string(), used.port().to_string());
    for name in ["rng", "hasher", "webui"] {
        let in_use = [&address, "already in use", "LISTEN=[::]:8080"];
        assert_rejected((name, &[], &[("LISTEN", &address)], &in_use));
        let unassigned = "192.0.2.1:80";
        let no_such = [unassigned, "no such address", "LISTEN=[::]:8080"];
        assert_rejected((name, &[], &[("LISTEN", unassigned)], &no_such));
    }
    for name in SERVICES {
        let in_use = [&address, "already in use", "ADMIN_LISTEN=[::]:8080"];
        let line = assert_rejected((name, &[], &[("ADMIN_LISTEN", &address)], &in_use));
        assert!(line.starts_with("error: ADMIN_LISTEN: "), "{line}");
    }
    for flag in ["--webui-port", "--rng-port", "--hasher-port", "--admin-port"] {
        let others = ["--webui-port=0", "--rng-port=0", "--hasher-port=0", "--admin-port=0"];
        let mut args: Vec<&str> =
            others.into_iter().filter(|other| !other.starts_with(flag)).collect();
        args.extend([flag, &port]);
        let in_use = [flag, &address, "already in use"];
        assert_rejected(("dockercoins", &args, &[], &in_use));
    }
}

/// All settings of all services except addresses and URLs.
const SETTINGS: [&str; 18] = [
    "COIN_PREFIX",
    "CONCURRENCY",
    "CONNECTIONS",
    "DEBUG",
    "DELAY",
    "FILES",
    "IGNORE_SIGTERM",
    "INTERVAL",
    "LANES",
    "LOG_FORMAT",
    "MAX_BODY",
    "MAX_BYTES",
    "RETRY",
    "RUST_LOG",
    "SHUTDOWN_DELAY",
    "SHUTDOWN_TIMEOUT",
    "TIMEOUT",
    "NO_COLOR",
];

#[test]
fn white_space_around_a_value_has_no_effect() {
    let process = service("worker", &[("CONCURRENCY", "4\n"), ("CONNECTIONS", " http2 ")]);
    let admin = process.address("ADMIN_LISTEN");
    eventually(TIMEOUT, "four loops", || metrics(admin)["worker_loops"] == 4.0);
}

#[test]
fn help_says_that_a_health_check_does_not_read_flags() {
    for name in SERVICES {
        let mut help = Process::start(path(name), &["--help"], &[]);
        assert!(help.wait(TIMEOUT).success());
        let text = help.lines().join(" ");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("In a container, set the variable"), "{name}: {words}");
    }
}

#[test]
fn empty_values_count_as_unset() {
    assert_mines_with(&SETTINGS.map(|name| (name, "")));
    // The flags give the addresses whose variables are empty.
    for name in ["rng", "hasher", "webui"] {
        let args = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
        let env = [("LISTEN", ""), ("ADMIN_LISTEN", ""), ("REDIS_URL", "")];
        let process = Process::start(path(name), &args, &env);
        assert!(Client::get(process.address("LISTEN"), "/").status < 400);
    }
    let args = ["--admin-listen=127.0.0.1:0", "--retry=1h"];
    let env = [("RNG_URL", ""), ("HASHER_URL", ""), ("REDIS_URL", "")];
    let worker = Process::start(path("worker"), &args, &env);
    worker.wait_for(" ERROR redis:6379: ", TIMEOUT);
}

#[test]
fn variables_that_kubernetes_injects_have_no_effect() {
    let mut env = Vec::new();
    for service in ["RNG", "HASHER", "WEBUI", "REDIS", "WORKER", "KUBERNETES"] {
        let port = if service == "REDIS" { "6379" } else { "80" };
        let url = format!("tcp://10.43.0.17:{port}");
        env.extend([
            (format!("{service}_PORT"), url.clone()),
            (format!("{service}_SERVICE_HOST"), "10.43.0.17".to_owned()),
            (format!("{service}_SERVICE_PORT"), port.to_owned()),
            (format!("{service}_SERVICE_PORT_HTTP"), port.to_owned()),
            (format!("{service}_PORT_{port}_TCP"), url),
            (format!("{service}_PORT_{port}_TCP_ADDR"), "10.43.0.17".to_owned()),
            (format!("{service}_PORT_{port}_TCP_PORT"), port.to_owned()),
            (format!("{service}_PORT_{port}_TCP_PROTO"), "tcp".to_owned()),
        ]);
    }
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_mines_with(&env);
}

/// Starts all services with these variables, and expects hashes in redis and in webui.
fn assert_mines_with(env: &[(&str, &str)]) {
    let Some(redis) = Redis::start() else { return };
    let redis_url = redis.url();
    let with = |settings: &[(&'static str, &str)], name: &str| {
        let settings: Vec<_> = env.iter().copied().chain(settings.iter().copied()).collect();
        service(name, &settings)
    };
    let (rng, hasher) = (with(&[], "rng"), with(&[], "hasher"));
    let rng_url = format!("http://{}", rng.address("LISTEN"));
    let hasher_url = format!("http://{}", hasher.address("LISTEN"));
    let urls = [("RNG_URL", &*rng_url), ("HASHER_URL", &hasher_url), ("REDIS_URL", &redis_url)];
    let worker = with(&urls, "worker");
    let webui = with(&[("REDIS_URL", &redis_url)], "webui");
    eventually(TIMEOUT, "hashes in redis", || redis.hashes() > 0);
    eventually(TIMEOUT, "hashes in webui", || {
        let response = Client::get(webui.address("LISTEN"), "/json");
        let counters: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        counters["hashes"].as_str().is_some_and(|hashes| hashes != "0")
    });
    let lines = worker.lines().join("\n");
    assert!(!lines.contains("ERROR"), "{lines}");
}
