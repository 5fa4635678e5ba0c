//! The admin endpoints over real sockets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_ask_for_open_metrics_gets_the_older_format() {
    let listener = chassis::listen("ADMIN_LISTEN", any_port()).unwrap();
    let admin = listener.local_addr().unwrap();
    let registry = chassis::registry("test", "1.2.3");
    chassis::serve_admin(listener, registry, "1.2.3".into(), &Shutdown::new(HOUR));

    let response = Client::get(admin, "/metrics");
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(response.header("content-type"), Some(media_type));
    let text = response.text();
    let info = "# HELP dockercoins_build_info Service and version of this program.\n\
         # TYPE dockercoins_build_info gauge\n\
         dockercoins_build_info{service=\"test\",version=\"1.2.3\"} 1\n";
    assert!(text.contains(info), "{text}");
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
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
