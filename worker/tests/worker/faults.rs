//! Peers that are unreachable or send invalid responses.

use std::{io::Write, net::TcpStream};

use testkit::{Process, Redis};

use crate::{
    TIMEOUT, eventually,
    peer::{self, Peer, Script, only},
    worker,
};

/// The connection modes with HTTP/1.1.
const CONNECTIONS: [&str; 2] = ["per-request", "keep-alive"];

/// A fault of a peer, and the error in the worker's log.
type Fault = (Box<dyn Script>, &'static str);

fn fault(script: impl Script, error: &'static str) -> Fault {
    (Box::new(script), error)
}

/// A response with another status line, but with a valid body.
fn status(line: &str, body: &[u8]) -> Box<dyn Script> {
    let head = format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n", body.len());
    let location = "Location: /elsewhere\r\n\r\n";
    Box::new(only([head.as_bytes(), location.as_bytes(), body].concat()))
}

/// Faults that both peers can have; `body` is the body of a valid response.
fn common(body: &[u8]) -> Vec<Fault> {
    let head =
        |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let truncated = [&head(body.len())[..], &body[1..]].concat();
    vec![
        (status("500 Internal Server Error", body), "status 500 Internal Server Error"),
        (status("503 Service Unavailable", body), "status 503 Service Unavailable"),
        (status("404 Not Found", body), "status 404 Not Found"),
        (status("302 Found", body), "status 302 Found"),
        (status("307 Temporary Redirect", body), "status 307 Temporary Redirect"),
        (status("206 Partial Content", body), "status 206 Partial Content"),
        fault(only(truncated), "end of file before message length reached"),
        fault(only(head(body.len())), "end of file before message length reached"),
        fault(only(head(0)), "0 bytes came instead of"),
        fault(only(peer::ok(&[b'0'; 4096])), "more than 1024 bytes came"),
        fault(peer::endless, "more than 1024 bytes came"),
        fault(peer::reset, "onnection reset by peer"),
        fault(only(*b""), "connection closed before message completed"),
        fault(only(*b"SSH-2.0-OpenSSH_9.2\r\n"), "invalid HTTP version"),
        fault(only([0xff; 200]), "invalid HTTP version"),
    ]
}

#[test]
fn an_invalid_response_of_rng_is_logged_and_not_counted() {
    for connections in CONNECTIONS {
        let mut faults = common(&[7; 32]);
        faults.push(fault(only(peer::ok(&[7; 31])), "31 bytes came instead of 32"));
        faults.push(fault(only(peer::ok(&[7; 33])), "33 bytes came instead of 32"));
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let recover = || rng.set_script(peer::random_bytes);
        assert_recovers(connections, [&rng, &hasher, &rng], faults, recover);
    }
}

#[test]
fn an_invalid_response_of_hasher_is_logged_and_not_counted() {
    for connections in CONNECTIONS {
        let coin = "0".repeat(64);
        let mut faults = common(coin.as_bytes());
        let not_hex = "something else came instead of 64 hex digits";
        let short = peer::ok(&coin.as_bytes()[1..]);
        let long = peer::ok(format!("{coin}\n").as_bytes());
        faults.extend([
            fault(only(peer::ok("0A".repeat(32).as_bytes())), not_hex),
            fault(only(peer::ok("0g".repeat(32).as_bytes())), not_hex),
            fault(only(peer::ok("é".repeat(32).as_bytes())), not_hex),
            fault(only(peer::ok(&[0; 64])), not_hex),
            fault(only(short), "63 bytes came instead of 64 hex digits"),
            fault(only(long), "65 bytes came instead of 64 hex digits"),
        ]);
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let recover = || hasher.set_script(peer::hash);
        assert_recovers(connections, [&rng, &hasher, &hasher], faults, recover);
    }
}

/// Runs one worker through all the faults of a peer, which recovers after each.
fn assert_recovers(
    connections: &str,
    [rng, hasher, faulty]: [&Peer; 3],
    faults: Vec<Fault>,
    recover: impl Fn(),
) {
    let Some(redis) = Redis::start() else { return };
    let mut worker = worker(rng, hasher, &redis.url(), &[("CONNECTIONS", connections)]);
    for (script, expected) in faults {
        let (seen, before) = (worker.lines().len(), redis.hashes());
        faulty.set_script(script);
        let line = format!("{}: ", faulty.name());
        worker.wait_until(TIMEOUT, expected, |lines| {
            let error = lines[seen..].iter().position(|text| text.contains(&line))? + seen;
            assert!(lines[error].contains(" ERROR "), "{}", lines[error]);
            assert!(lines[error].contains(expected), "{expected:?} is not in {}", lines[error]);
            let next = lines.get(error + 1)?;
            assert!(next.ends_with(" Waiting 50ms and restarting."), "{next}");
            Some(())
        });
        recover();
        eventually(TIMEOUT, "the worker counts again", || redis.hashes() > before);
    }
    worker.terminate();
    assert!(worker.wait(TIMEOUT).success());
    assert_no_panic(&worker);
    assert_eq!(redis.hashes(), hasher.hashes());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn a_request_to_a_peer_that_hangs_fails_after_the_timeout() {
    let Some(redis) = Redis::start() else { return };
    let send_half = |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\nhalf").unwrap();
        peer::hang(&Peer::rng(), b"", stream)
    };
    let (rng, hasher) = (Peer::open(peer::hang), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("TIMEOUT", "1s")]);
    let error = format!("{}: no answer within 1s", rng.name());
    worker.wait_for(&error, TIMEOUT);
    rng.set_script(send_half);
    let seen = worker.lines().len();
    worker.wait_until(TIMEOUT, &error, |lines| {
        lines[seen..].iter().filter(|line| line.contains(&error)).nth(1).map(drop)
    });
    assert_eq!(hasher.requests(), 0);
    rng.set_script(peer::random_bytes);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    hasher.set_script(peer::hang);
    worker.wait_for(&format!("{}: no answer within 1s", hasher.name()), TIMEOUT);
    assert_no_panic(&worker);
}

// Only on Linux, a short backlog makes a listener silent.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_to_an_unresponsive_host_fails_after_two_seconds() {
    let Some(redis) = Redis::start() else { return };
    // The backlog holds one connection, which is never accepted: the kernel ignores further SYNs.
    let silent = Peer::closed(peer::hang);
    let listener = silent.listen_without_accepting();
    let _backlog = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let hasher = Peer::hasher();
    let worker = worker(&silent, &hasher, &redis.url(), &[]);
    worker.wait_for(&format!("{}: no connection within 2s", silent.name()), TIMEOUT);
}

#[test]
fn the_first_missing_service_is_named_in_the_order_redis_rng_hasher() {
    let Some(mut redis) = Redis::start() else { return };
    redis.kill();
    let (rng, hasher) = (Peer::closed(peer::random_bytes), Peer::closed(peer::hash));
    let worker = worker(&rng, &hasher, &redis.url(), &[]);
    let wait_for_refusal_of = |name: &str| {
        let end = format!(" ERROR {name}: Connection refused (os error 111)");
        worker.wait_until(TIMEOUT, &end, |lines| {
            lines.iter().find(|line| line.ends_with(&end)).map(drop)
        });
    };

    wait_for_refusal_of(&redis.name());
    wait_for_next_pause(&worker);
    assert_not_logged(&worker, &[&rng.name(), &hasher.name()]);
    redis.start_again();
    wait_for_refusal_of(&rng.name());
    wait_for_next_pause(&worker);
    assert_not_logged(&worker, &[&hasher.name()]);
    rng.listen();
    wait_for_refusal_of(&hasher.name());
    assert_eq!(redis.hashes(), 0);
    hasher.listen();
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
}

/// Waits for two more pauses, between which the worker has tried again.
fn wait_for_next_pause(worker: &Process) {
    let pauses = |lines: &[String]| lines.iter().filter(|line| line.contains("Waiting ")).count();
    let before = pauses(&worker.lines());
    worker.wait_until(TIMEOUT, "another pause", |lines| (pauses(lines) > before + 1).then_some(()));
}

fn assert_not_logged(worker: &Process, names: &[&str]) {
    let lines = worker.lines().join("\n");
    assert!(!names.iter().any(|name| lines.contains(name)), "{names:?} in:\n{lines}");
}

#[test]
fn one_failing_peer_pauses_eight_loops_once_with_one_line() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("CONCURRENCY", "8"), ("RETRY", "200ms")]);
    eventually(TIMEOUT, "the worker counts", || redis.hashes() > 0);
    hasher.set_script(status("500 Internal Server Error", b""));
    let requests = hasher.requests();
    let pause = |line: &str| line.contains(" ERROR Waiting 200ms and restarting.");
    let error = |line: &str| line.contains(" ERROR ") && !pause(line);
    let pauses = |lines: &[String]| lines.iter().filter(|line| pause(line)).count();
    let lines = worker
        .wait_until(TIMEOUT, "four pauses", |lines| (pauses(lines) >= 4).then(|| lines.to_vec()));
    let errors = lines.iter().filter(|line| error(line)).count();
    assert!((0..=1).contains(&(errors - pauses(&lines))), "{}", lines.join("\n"));
    // Each loop fails at most once between two pauses.
    let failed = hasher.requests() - requests;
    let limit = 8 * (pauses(&worker.lines()) as u64 + 1);
    assert!(failed <= limit, "{failed} requests");
    for pair in lines.windows(2).filter(|pair| error(&pair[0])) {
        assert!(pair[0].contains(&format!("{}: status 500", hasher.name())), "{}", pair[0]);
        assert!(pause(&pair[1]), "{}", pair[1]);
    }
}

fn assert_no_panic(worker: &Process) {
    let lines = worker.lines().join("\n");
    assert!(!lines.contains("panic"), "{lines}");
}

#[test]
fn a_peer_that_closes_each_connection_after_its_response_causes_no_error() {
    let Some(redis) = Redis::start() else { return };
    let respond_once = |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        peer::hash(peer, body, stream);
        false
    };
    let (rng, hasher) = (Peer::rng(), Peer::open(respond_once));
    let settings = [("CONNECTIONS", "keep-alive"), ("DELAY", "10ms")];
    let worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(TIMEOUT, "some work is done", || redis.hashes() > 50);
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
}

#[test]
fn an_error_over_http2_hints_that_the_peer_may_not_support_it() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "http2")]);
    for script in [Box::new(peer::random_bytes) as Box<dyn Script>, Box::new(only(*b""))] {
        rng.set_script(script);
        let seen = worker.lines().len();
        let hint = "; does it support HTTP/2? The original does not";
        worker.wait_until(TIMEOUT, hint, |lines| {
            lines[seen..].iter().find(|line| line.ends_with(hint)).map(drop)
        });
    }
    assert_no_panic(&worker);
    assert_eq!(redis.hashes(), 0);
}
