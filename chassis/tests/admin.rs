//! The admin endpoints over real sockets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs::File,
    hint,
    time::{Duration, Instant, SystemTime},
};

use chassis::Shutdown;
use testkit::{anywhere, http, metrics};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_to_the_very_end() {
    let listener = chassis::listen("ADMIN_LISTEN", anywhere()).unwrap();
    let admin = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    chassis::serve_admin(listener, chassis::registry("test", "1.2.3"), "1.2.3".into(), &shutdown);
    let status = |path| http::get(admin, path).status;

    assert_eq!(http::get(admin, "/version").text(), "1.2.3\n");
    assert_eq!(status("/nowhere"), 404);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    shutdown.withdraw();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    shutdown.begin();
    shutdown.set_ready();
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    assert_eq!(http::get(admin, "/healthz").text(), "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_metrics_text_and_say_which_program_this_is() {
    let listener = chassis::listen("ADMIN_LISTEN", anywhere()).unwrap();
    let admin = listener.local_addr().unwrap();
    chassis::serve_admin(
        listener,
        chassis::registry("test", "1.2.3"),
        "1.2.3".into(),
        &Shutdown::new(HOUR),
    );

    let own = metrics(admin);
    assert_eq!(own[r#"dockercoins_build_info{service="test",version="1.2.3"}"#], 1.0);
    let text = http::get(admin, "/metrics").text();
    assert!(text.contains("# TYPE dockercoins_build info\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_what_the_process_uses() {
    let listener = chassis::listen("ADMIN_LISTEN", anywhere()).unwrap();
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
    // Another test of this process may close a few.
    assert!(grown("process_open_fds") >= 0.8 * open.len() as f64);
    assert!(grown("process_resident_memory_bytes") > 0.9 * memory.len() as f64);
    assert!(grown("process_virtual_memory_bytes") > 0.9 * memory.len() as f64);
    // A busy machine may give less than the whole time.
    assert!((0.02..60.0).contains(&grown("process_cpu_seconds_total")));
    assert!(after["process_threads"] >= 2.0);
    assert!(after["process_max_fds"] >= after["process_open_fds"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - after["process_start_time_seconds"];
    assert!((0.0..600.0).contains(&age), "started {age} s ago");
}
