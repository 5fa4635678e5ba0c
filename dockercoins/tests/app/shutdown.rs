//! Every program exits on a signal, after it has responded to every accepted request.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use testkit::{Client, Process, Redis, eventually};

use crate::programs::{
    NO_REDIS, SERVICES, TIMEOUT, application, assert_ends_soon, path, send_fifty_requests, service,
};

/// The signals that end a program gracefully.
fn signals() -> Vec<fn(&Process)> {
    let mut signals: Vec<fn(&Process)> = vec![Process::terminate, Process::interrupt];
    if heeds_sighup() {
        signals.push(Process::hang_up);
    }
    signals
}

/// Whether a program that is started here handles SIGHUP. Under `nohup`, it does not; systems other
/// than Linux do not report this.
fn heeds_sighup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 0)
}

#[test]
fn rng_responds_to_its_whole_queue_and_exits() {
    for signal in signals() {
        let mut rng = service("rng", &[]);
        let clients = send_fifty_requests(rng.address("LISTEN"), "GET /32", b"");
        rng.wait_for("\"GET /32 HTTP/1.1\" 200", TIMEOUT);
        assert_ends_soon("rng", &mut rng, signal);
        for client in clients {
            let response = client.finish().unwrap();
            assert_eq!((response.status, response.body.len()), (200, 32));
        }
    }
}

#[test]
fn hasher_responds_to_all_requests_and_exits_despite_a_long_delay() {
    for signal in signals() {
        let mut hasher = service("hasher", &[("DELAY", "1h")]);
        let clients = send_fifty_requests(hasher.address("LISTEN"), "POST /", b"abc");
        assert_ends_soon("hasher", &mut hasher, signal);
        for client in clients {
            let response = client.finish().unwrap();
            assert_eq!(response.status, 200);
            assert!(response.text().starts_with("ba7816bf8f01cfea"), "{}", response.text());
        }
    }
}

#[test]
fn webui_responds_to_all_requests_and_exits_even_if_redis_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    for signal in signals() {
        let mut webui = service("webui", &[("REDIS_URL", &url)]);
        let mut clients = send_fifty_requests(webui.address("LISTEN"), "GET /json", b"");
        let pages = send_fifty_requests(webui.address("LISTEN"), "GET /index.html", b"");
        assert_ends_soon("webui without redis", &mut webui, signal);
        for page in pages {
            assert_eq!(page.finish().unwrap().status, 200);
        }
        for client in clients.drain(..) {
            assert_eq!(client.finish().unwrap().status, 503);
        }
    }
}

#[test]
fn webui_responds_to_all_requests_and_exits() {
    let Some(redis) = Redis::start() else { return };
    for signal in signals() {
        let mut webui = service("webui", &[("REDIS_URL", &redis.url())]);
        let clients = send_fifty_requests(webui.address("LISTEN"), "GET /json", b"");
        assert_ends_soon("webui", &mut webui, signal);
        for client in clients {
            assert_eq!(client.finish().unwrap().status, 200);
        }
    }
}

#[test]
fn a_blocked_thread_does_not_delay_the_exit() {
    // Opening a FIFO without a writer blocks a thread, as e.g. an unreachable name server does.
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("index.html");
    assert!(Command::new("mkfifo").arg(&page).status().unwrap().success());
    let files = ("FILES", folder.path().to_str().unwrap());
    let mut webui = service("webui", &[files, ("SHUTDOWN_TIMEOUT", "200ms")]);
    let _client = Client::start(webui.address("LISTEN"), "GET /index.html", b"").unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_ends_soon("webui with a blocked thread", &mut webui, Process::terminate);
}

#[test]
fn worker_exits_while_the_queue_is_long_and_its_last_hashes_are_in_redis() {
    for signal in signals() {
        let Some(redis) = Redis::start() else { return };
        let (mut rng, mut hasher) = (service("rng", &[]), service("hasher", &[]));
        let rng_url = format!("http://{}", rng.address("LISTEN"));
        let hasher_url = format!("http://{}", hasher.address("LISTEN"));
        let mut worker = service(
            "worker",
            &[
                ("RNG_URL", &rng_url),
                ("HASHER_URL", &hasher_url),
                ("REDIS_URL", &redis.url()),
                ("CONCURRENCY", "10"),
            ],
        );
        hasher.wait_for("\"POST / HTTP/1.1\" 200", TIMEOUT);
        let clients = send_fifty_requests(rng.address("LISTEN"), "GET /1", b"");
        thread::sleep(Duration::from_millis(300));
        assert_ends_soon("worker", &mut worker, signal);
        assert_ends_soon("rng after the worker", &mut rng, signal);
        assert_ends_soon("hasher after the worker", &mut hasher, signal);
        assert!(clients.into_iter().all(|client| client.finish().unwrap().status == 200));
        let hashed = |line: &&String| line.contains("\"POST / HTTP/1.1\" 200");
        assert_eq!(redis.hashes(), hasher.lines().iter().filter(hashed).count() as u64);
    }
}

#[test]
fn the_application_responds_flushes_and_exits_with_a_summary() {
    for signal in signals() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("coins.redb");
        let flag = format!("--data={}", file.display());
        let mut app = application(&[&flag, "--workers=10"], &[]);
        app.wait_for("\"POST / HTTP/1.1\" 200", TIMEOUT);
        let clients = send_fifty_requests(app.address("--rng-port"), "GET /32", b"");
        thread::sleep(Duration::from_millis(300));
        assert_ends_soon("dockercoins", &mut app, signal);
        for client in clients {
            assert_eq!(client.finish().unwrap().status, 200);
        }
        let summary = app.wait_for("Mined ", Duration::ZERO);
        app.wait_for("Mean time of a unit of work: pause ", Duration::ZERO);
        assert_eq!(
            stored_hashes(&file),
            summary.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        );
        let hashed = |line: &&String| line.contains("\"POST / HTTP/1.1\" 200");
        assert_eq!(stored_hashes(&file), app.lines().iter().filter(hashed).count() as u64);
    }
}

/// The hashes in the file of an application that has exited.
fn stored_hashes(file: &std::path::Path) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = store::Store::file(file).unwrap();
    let totals = runtime.block_on(store.read()).unwrap().totals;
    totals.hashes.expect("a count").parse().unwrap()
}

/// Starts every program, without a redis.
fn start_all(settings: &[(&str, &str)]) -> Vec<(&'static str, Process)> {
    let mut programs: Vec<_> =
        SERVICES.iter().map(|&name| (name, service(name, settings))).collect();
    let (_, redis) = NO_REDIS;
    programs.push(("dockercoins", application(&[&format!("--redis={redis}")], settings)));
    programs
}

/// Host and port of the admin endpoints.
fn admin(name: &str, process: &Process) -> std::net::SocketAddr {
    process.address(if name == "dockercoins" { "--admin-port" } else { "ADMIN_LISTEN" })
}

#[test]
fn with_ignore_sigterm_every_program_serves_until_ctrl_c() {
    for (name, mut process) in start_all(&[("IGNORE_SIGTERM", "on")]) {
        let admin = admin(name, &process);
        for _ in 0..3 {
            process.terminate();
        }
        process.wait_for("SIGTERM ignored", TIMEOUT);
        thread::sleep(Duration::from_millis(200));
        assert!(process.is_running(), "{name}");
        eventually(TIMEOUT, "ready", || Client::get(admin, "/readyz").status == 200);
        if let "rng" | "hasher" = name {
            assert_eq!(Client::get(process.address("LISTEN"), "/").status, 200);
        }
        assert_ends_soon(name, &mut process, Process::interrupt);
    }
}

#[test]
fn a_closed_terminal_ends_every_program_as_sigterm_does() {
    if !heeds_sighup() {
        return;
    }
    for (name, mut process) in start_all(&[]) {
        admin(name, &process);
        assert_ends_soon(name, &mut process, Process::hang_up);
        process.wait_for("SIGHUP received, stopping", TIMEOUT);
    }
}

// Only Linux reports which signals a process ignores.
#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_closed_terminal_has_no_effect() {
    let rng = path("rng").into_os_string().into_string().unwrap();
    let settings = [&testkit::FREE_PORTS[..], &[("PATH", "/usr/bin:/bin")]].concat();
    let mut process = Process::start("/bin/sh", &["-c", "exec nohup \"$0\"", &rng], &settings);
    let address = process.address("LISTEN");
    process.hang_up();
    assert_eq!(Client::get(address, "/").status, 200);
    assert_ends_soon("rng", &mut process, Process::terminate);
    assert!(!process.lines().iter().any(|line| line.contains("SIGHUP")));
}

#[test]
fn a_second_signal_ends_every_program_at_once() {
    for (second, code) in [(Process::terminate as fn(&Process), 143), (Process::interrupt, 130)] {
        for (name, mut process) in start_all(&[("SHUTDOWN_DELAY", "60s")]) {
            admin(name, &process);
            process.terminate();
            process.wait_for("SIGTERM received, stopping", TIMEOUT);
            // An earlier signal would count as the same one.
            std::thread::sleep(Duration::from_millis(100));
            second(&process);
            assert_eq!(process.wait(TIMEOUT).code(), Some(code), "{name}");
        }
    }
}

#[test]
fn during_the_shutdown_delay_a_service_serves_but_is_not_ready() {
    for (name, mut process) in start_all(&[("SHUTDOWN_DELAY", "1500ms")]) {
        let admin = admin(name, &process);
        eventually(TIMEOUT, "ready", || Client::get(admin, "/readyz").status == 200);
        let start = Instant::now();
        process.terminate();
        eventually(TIMEOUT, "not ready", || Client::get(admin, "/readyz").status == 503);
        assert_eq!(Client::get(admin, "/healthz").status, 200, "{name}");
        if let "rng" | "hasher" = name {
            let response = Client::get(process.address("LISTEN"), "/");
            assert_eq!(response.status, 200);
            assert!(
                response.head.to_lowercase().contains("connection: close"),
                "{}",
                response.head
            );
        }
        assert_eq!(process.wait(TIMEOUT).code(), Some(0), "{name}");
        let time = start.elapsed();
        assert!(time >= Duration::from_millis(1450), "{name} ended after {time:?}");
    }
}

#[test]
fn after_sigterm_responses_close_their_connections() {
    let mut rng = service("rng", &[("SHUTDOWN_DELAY", "1s")]);
    let mut client = std::net::TcpStream::connect(rng.address("LISTEN")).unwrap();
    let mut request = || {
        use std::io::Write;
        client.write_all(b"GET / HTTP/1.1\r\nHost: rng\r\n\r\n").unwrap();
        let mut buffer = [0; 4096];
        let n = client.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).to_lowercase()
    };
    assert!(!request().contains("connection: close"));
    rng.terminate();
    rng.wait_for("SIGTERM received", TIMEOUT);
    assert!(request().contains("connection: close"));
    assert_eq!(rng.wait(TIMEOUT).code(), Some(0));
}

#[test]
fn healthcheck_reports_whether_the_service_is_ready() {
    for name in SERVICES {
        let healthcheck = |admin: &str| {
            let mut check =
                Process::start(path(name), &["healthcheck"], &[("ADMIN_LISTEN", admin)]);
            let code = check.wait(TIMEOUT).code();
            (code, check.errors())
        };
        for listen in ["127.0.0.1:0", "[::]:0"] {
            let settings = [("ADMIN_LISTEN", listen), ("SHUTDOWN_DELAY", "60s")];
            let process = service(name, &settings);
            let port = process.address("ADMIN_LISTEN").port();
            let admin = format!("{}:{port}", listen.strip_suffix(":0").unwrap());
            eventually(TIMEOUT, "ready", || healthcheck(&admin) == (Some(0), vec![]));
            process.terminate();
            process.wait_for("SIGTERM received", TIMEOUT);
            let (code, errors) = healthcheck(&admin);
            assert_eq!(code, Some(1), "{name}: {errors:?}");
            assert!(errors[0].contains("not ready") && errors.len() == 1, "{errors:?}");
            drop(process);
            let (code, errors) = healthcheck(&admin);
            assert_eq!(code, Some(1), "{name}: {errors:?}");
            assert!(errors[0].contains("nothing listens on") && errors.len() == 1, "{errors:?}");
        }
    }
}
