//! The admin endpoints over real sockets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs::File,
    hint,
    time::{Duration, Instant, SystemTime},
};

use chassis::Shutdown;
use testkit::{Client, any_port, metrics};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn probes_respond_until_the_process_ends() {
    let listener = chassis::listen("ADMIN_LISTEN", any_port()).unwrap();
    let admin = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    chassis::serve_admin(listener, chassis::registry("test", "1.2.3"), "1.2.3".into(), &shutdown);
    let status = |path| Client::get(admin, path).status;

    assert_eq!(Client::get(admin, "/version").text(), "1.2.3\n");
    assert_eq!(status("/nowhere"), 404);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    shutdown.withdraw();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.begin();
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    assert_eq!(Client::get(admin, "/healthz").text(), "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_metrics_text_and_report_the_program() {
    let listener = chassis::listen("ADMIN_LISTEN", any_port()).unwrap();
    let admin = listener.local_addr().unwrap();
    chassis::serve_admin(
        listener,
        chassis::registry("test", "1.2.3"),
        "1.2.3".into(),
        &Shutdown::new(HOUR),
    );

    let own = metrics(admin);
    assert_eq!(own[r#"dockercoins_build_info{service="test",version="1.2.3"}"#], 1.0);
    let text = Client::get(admin, "/metrics").text();
    assert!(text.contains("# TYPE dockercoins_build info\n"), "{text}");
}

// The metrics of the process come from /proc.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn metrics_report_the_usage_of_the_process() {
    let listener = chassis::listen("ADMIN_LISTEN", any_port()).unwrap();
    let admin = listener.local_addr().unwrap();
    let registry = chassis::registry("test", "1.2.3");
    chassis::serve_admin(listener, registry, "1.2.3".into(), &Shutdown::new(HOUR));

    let before = metrics(admin);
    let open: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
    let memory = vec![7; 64 << 20];
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(300) {
        hint::spin_loop();
    }
    let after = metrics(admin);
    let grown = |name: &str| after[name] - before[name];
    // Other tests in this process may close some files.
    assert!(grown("process_open_fds") >= 0.8 * open.len() as f64);
    assert!(grown("process_resident_memory_bytes") > 0.9 * memory.len() as f64);
    assert!(grown("process_virtual_memory_bytes") > 0.9 * memory.len() as f64);
    // On a busy machine the process may get less CPU time.
    assert!((0.02..60.0).contains(&grown("process_cpu_seconds_total")));
    assert!(after["process_threads"] >= 2.0);
    assert!(after["process_max_fds"] >= after["process_open_fds"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - after["process_start_time_seconds"];
    assert!((0.0..600.0).contains(&age), "started {age} s ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_do_not_keep_a_probe_waiting() {
    let listener = chassis::listen("ADMIN_LISTEN", any_port()).unwrap();
    let admin = listener.local_addr().unwrap();
    let registry = chassis::registry("test", "1.2.3");
    chassis::serve_admin(listener, registry, "1.2.3".into(), &Shutdown::new(HOUR));
    // More connections than the admin port accepts at once. Each is closed after at most five
    // seconds.
    let mut silent: Vec<_> = (0..400).map(|_| Client::connect(admin)).collect();
    silent.iter_mut().step_by(2).for_each(|client| client.send("GET / HTTP/1.1\r\n"));
    assert_eq!(Client::get(admin, "/healthz").status, 200);
    assert!(silent.iter_mut().all(|client| client.remainder().is_empty()));
}
