//! The metrics of the process, which only Linux has: they come from /proc.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    fs::File,
    hint,
    time::{Duration, Instant, SystemTime},
};

use chassis::Shutdown;
use testkit::{any_port, metrics};

const HOUR: Duration = Duration::from_secs(3600);

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
