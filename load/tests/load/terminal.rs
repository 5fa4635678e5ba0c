//! A load on a terminal: a status line shows its progress, and log lines appear above it.

use std::process::{Child, Command, Stdio};

use testkit::{FREE_PORTS, Redis, Terminal, eventually, peer::Peer};

use crate::TIMEOUT;

/// Moves the cursor to the start of the line and erases the line.
const ERASE: &str = "\r\x1b[2K";

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a short load with stderr on a terminal of this type, and returns the bytes that the
/// terminal receives.
fn on_terminal(term: &str) -> Option<String> {
    let redis = Redis::start()?;
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let (terminal, stderr) = Terminal::open();
    let load = Command::new(env!("CARGO_BIN_EXE_load"))
        .env_clear()
        .envs(FREE_PORTS)
        .envs([("TERM", term), ("DURATION", "1s"), ("DELAY", "10ms"), ("INTERVAL", "100ms")])
        .envs([("RNG_URL", rng.url()), ("HASHER_URL", hasher.url()), ("REDIS_URL", redis.url())])
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut load = Killed(load);
    eventually(TIMEOUT, "the load ends", || load.0.try_wait().unwrap().is_some());
    assert!(load.0.wait().unwrap().success());
    Some(terminal.received())
}

#[test]
fn a_log_line_replaces_the_status_line_and_the_end_erases_it() {
    let Some(received) = on_terminal("xterm") else { return };
    assert!(received.contains(" hashes/s"), "{received:?}");
    let visible = received.lines().map(|line| match line.rsplit_once(ERASE) {
        Some((_, text)) => text,
        None => line,
    });
    let visible: Vec<&str> = visible.collect();
    assert!(visible.len() > 5, "{received:?}");
    for line in visible {
        assert!(line.starts_with("20") && line.contains(" INFO "), "{line:?} in {received:?}");
        assert!(!line.contains("hashes/s"), "{line:?} in {received:?}");
    }
}

#[test]
fn a_dumb_terminal_gets_log_lines_alone() {
    let Some(received) = on_terminal("dumb") else { return };
    assert!(received.matches(" INFO ").count() > 5, "{received:?}");
    assert!(!received.contains('\x1b') && !received.contains("hashes/s"), "{received:?}");
}
