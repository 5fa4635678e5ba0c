//! A load on a terminal: a bar shows how far it is, and the log stands above it.

use std::{
    fs::File,
    io::Read,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use testkit::{FREE_PORTS, Redis};

use crate::{PATIENCE, eventually, peer::Peer};

/// Goes to the begin of the line and erases it.
const ERASE: &str = "\r\x1b[2K";

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_log_of_a_load_does_not_stick_to_its_bar() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let stderr = File::options().read(true).write(true).open(name).unwrap();
    let load = Command::new(env!("CARGO_BIN_EXE_worker"))
        .env_clear()
        .envs(FREE_PORTS)
        .envs([("TERM", "xterm"), ("DURATION", "1s"), ("DELAY", "10ms"), ("INTERVAL", "100ms")])
        .envs([("RNG_URL", rng.url()), ("HASHER_URL", hasher.url()), ("REDIS_URL", redis.url())])
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut load = Killed(load);
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        // It ends with an error when the load has.
        let _ = File::from(terminal).read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    eventually(PATIENCE, "the load ends", || load.0.try_wait().unwrap().is_some());
    assert!(load.0.wait().unwrap().success());
    let seen = reader.join().unwrap();
    assert!(seen.contains(" hashes/s"), "{seen:?}");
    let lines: Vec<&str> = seen.split('\n').filter(|line| line.contains(" INFO ")).collect();
    assert!(lines.len() > 5, "{seen:?}");
    for line in lines {
        let (_, text) = line.rsplit_once(ERASE).unwrap_or_else(|| panic!("{line:?} is not alone"));
        assert!(text.starts_with("20") && !text.contains("hashes/s"), "{line:?}");
    }
}
