//! Peers that are away or answer nonsense.

use std::{io::Write, net::TcpStream};

use testkit::{Process, Redis};

use crate::{
    PATIENCE, eventually,
    peer::{self, Peer, Script, only},
    worker,
};

/// How a peer of HTTP/1.1 can be reached.
const CONNECTIONS: [&str; 2] = ["per-request", "keep-alive"];

/// A fault of a peer, and what the worker says of it.
type Fault = (Box<dyn Script>, &'static str);

fn fault(script: impl Script, complaint: &'static str) -> Fault {
    (Box::new(script), complaint)
}

/// An answer with another status line, otherwise good.
fn status(line: &str, good: &[u8]) -> Box<dyn Script> {
    let head = format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n", good.len());
    let extra = "Location: /elsewhere\r\n\r\n";
    Box::new(only([head.as_bytes(), extra.as_bytes(), good].concat()))
}

/// Faults that either peer can have; `good` is the body of a right answer.
fn common(good: &[u8]) -> Vec<Fault> {
    let promised =
        |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let cut = [&promised(good.len())[..], &good[1..]].concat();
    vec![
        (status("500 Internal Server Error", good), "status 500 Internal Server Error"),
        (status("503 Service Unavailable", good), "status 503 Service Unavailable"),
        (status("404 Not Found", good), "status 404 Not Found"),
        (status("302 Found", good), "status 302 Found"),
        (status("307 Temporary Redirect", good), "status 307 Temporary Redirect"),
        (status("206 Partial Content", good), "status 206 Partial Content"),
        fault(only(cut), "end of file before message length reached"),
        fault(only(promised(good.len())), "end of file before message length reached"),
        fault(only(promised(0)), "0 bytes came instead of"),
        fault(only(peer::ok(&[b'0'; 4096])), "more than 1024 bytes came"),
        fault(peer::endless, "more than 1024 bytes came"),
        fault(peer::reset, "onnection reset by peer"),
        fault(only(*b""), "connection closed before message completed"),
        fault(only(*b"SSH-2.0-OpenSSH_9.2\r\n"), "invalid HTTP version"),
        fault(only([0xff; 200]), "invalid HTTP version"),
    ]
}

#[test]
fn whatever_rng_answers_is_reported_and_never_counted() {
    for connections in CONNECTIONS {
        let mut faults = common(&[7; 32]);
        faults.push(fault(only(peer::ok(&[7; 31])), "31 bytes came instead of 32"));
        faults.push(fault(only(peer::ok(&[7; 33])), "33 bytes came instead of 32"));
        let (rng, hasher) = (Peer::rng(), Peer::hasher());
        let turn_good = || rng.turn(peer::random_bytes);
        endure(connections, [&rng, &hasher, &rng], faults, turn_good);
    }
}

#[test]
fn whatever_hasher_answers_is_reported_and_never_counted() {
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
        let turn_good = || hasher.turn(peer::hash);
        endure(connections, [&rng, &hasher, &hasher], faults, turn_good);
    }
}

/// Lets one worker meet all the faults of a peer, which turns good after each.
fn endure(
    connections: &str,
    [rng, hasher, bad]: [&Peer; 3],
    faults: Vec<Fault>,
    turn_good: impl Fn(),
) {
    let Some(redis) = Redis::start() else { return };
    let mut worker = worker(rng, hasher, &redis.url(), &[("CONNECTIONS", connections)]);
    for (script, complaint) in faults {
        let (seen, before) = (worker.lines().len(), redis.hashes());
        bad.turn(script);
        let line = format!("{}: ", bad.name());
        worker.wait_until(PATIENCE, complaint, |lines| {
            let error = lines[seen..].iter().position(|text| text.contains(&line))? + seen;
            assert!(lines[error].contains(" ERROR "), "{}", lines[error]);
            assert!(lines[error].contains(complaint), "{complaint:?} is not in {}", lines[error]);
            let next = lines.get(error + 1)?;
            assert!(next.ends_with(" Waiting 50ms and restarting."), "{next}");
            Some(())
        });
        turn_good();
        eventually(PATIENCE, "the worker counts again", || redis.hashes() > before);
    }
    worker.terminate();
    assert!(worker.wait(PATIENCE).success());
    assert_no_panic(&worker);
    assert_eq!(redis.hashes(), hasher.answered());
    assert_eq!(redis.wallet(), hasher.coins());
}

#[test]
fn a_peer_that_hangs_is_given_up_after_the_timeout() {
    let Some(redis) = Redis::start() else { return };
    let half = |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\nhalf").unwrap();
        peer::hang(&Peer::rng(), b"", stream)
    };
    let (rng, hasher) = (Peer::open(peer::hang), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("TIMEOUT", "1s")]);
    let complaint = format!("{}: no answer within 1s", rng.name());
    worker.wait_for(&complaint, PATIENCE);
    rng.turn(half);
    let seen = worker.lines().len();
    worker.wait_until(PATIENCE, &complaint, |lines| {
        lines[seen..].iter().filter(|line| line.contains(&complaint)).nth(1).map(drop)
    });
    assert_eq!(hasher.requests(), 0);
    rng.turn(peer::random_bytes);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
    hasher.turn(peer::hang);
    worker.wait_for(&format!("{}: no answer within 1s", hasher.name()), PATIENCE);
    assert_no_panic(&worker);
}

#[test]
fn a_host_that_does_not_answer_at_all_is_given_up_after_two_seconds() {
    let Some(redis) = Redis::start() else { return };
    // A queue for one connection that nobody accepts: further ones get no answer to their SYN.
    let silent = Peer::closed(peer::hang);
    let listener = silent.listen_without_accepting();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let hasher = Peer::hasher();
    let worker = worker(&silent, &hasher, &redis.url(), &[]);
    worker.wait_for(&format!("{}: no connection within 2s", silent.name()), PATIENCE);
}

#[test]
fn the_first_thing_that_is_missing_is_named_in_the_order_redis_rng_hasher() {
    let Some(mut redis) = Redis::start() else { return };
    redis.kill();
    let (rng, hasher) = (Peer::closed(peer::random_bytes), Peer::closed(peer::hash));
    let worker = worker(&rng, &hasher, &redis.url(), &[]);
    let wait_for_refusal_by = |name: &str| {
        let end = format!(" ERROR {name}: Connection refused (os error 111)");
        worker.wait_until(PATIENCE, &end, |lines| {
            lines.iter().find(|line| line.ends_with(&end)).map(drop)
        });
    };

    wait_for_refusal_by(&redis.name());
    wait_for_next_pause(&worker);
    assert_silent_about(&worker, &[&rng.name(), &hasher.name()]);
    redis.start_again();
    wait_for_refusal_by(&rng.name());
    wait_for_next_pause(&worker);
    assert_silent_about(&worker, &[&hasher.name()]);
    rng.listen();
    wait_for_refusal_by(&hasher.name());
    assert_eq!(redis.hashes(), 0);
    hasher.listen();
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
}

/// Waits until the worker has paused twice more.
fn wait_for_next_pause(worker: &Process) {
    let pauses = |lines: &[String]| lines.iter().filter(|line| line.contains("Waiting ")).count();
    let before = pauses(&worker.lines());
    worker
        .wait_until(PATIENCE, "another pause", |lines| (pauses(lines) > before + 1).then_some(()));
}

fn assert_silent_about(worker: &Process, names: &[&str]) {
    let lines = worker.lines().join("\n");
    assert!(!names.iter().any(|name| lines.contains(name)), "{names:?} in:\n{lines}");
}

#[test]
fn one_failing_peer_pauses_eight_loops_once_with_one_line() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("CONCURRENCY", "8"), ("RETRY", "200ms")]);
    eventually(PATIENCE, "the worker counts", || redis.hashes() > 0);
    hasher.turn(status("500 Internal Server Error", b""));
    let requests = hasher.requests();
    let pauses = |lines: &[String]| {
        lines.iter().filter(|line| line.contains(" Waiting 200ms and restarting.")).count()
    };
    let lines = worker
        .wait_until(PATIENCE, "four pauses", |lines| (pauses(lines) >= 4).then(|| lines.to_vec()));
    let errors = lines.iter().filter(|line| line.contains(" ERROR ")).count();
    assert!((0..=1).contains(&(errors - pauses(&lines))), "{}", lines.join("\n"));
    // Between two pauses each loop fails at most once.
    let failed = hasher.requests() - requests;
    let most = 8 * (pauses(&worker.lines()) as u64 + 1);
    assert!(failed <= most, "{failed} requests");
    for pair in lines.windows(2).filter(|pair| pair[0].contains(" ERROR ")) {
        assert!(pair[0].contains(&format!("{}: status 500", hasher.name())), "{}", pair[0]);
        assert!(pair[1].contains(" Waiting 200ms and restarting."), "{}", pair[1]);
    }
}

fn assert_no_panic(worker: &Process) {
    let lines = worker.lines().join("\n");
    assert!(!lines.contains("panic"), "{lines}");
}

#[test]
fn a_peer_that_closes_each_connection_after_its_answer_is_no_error() {
    let Some(redis) = Redis::start() else { return };
    let once = |peer: &Peer, body: &[u8], stream: &mut TcpStream| {
        peer::hash(peer, body, stream);
        false
    };
    let (rng, hasher) = (Peer::rng(), Peer::open(once));
    let settings = [("CONNECTIONS", "keep-alive"), ("DELAY", "10ms")];
    let worker = worker(&rng, &hasher, &redis.url(), &settings);
    eventually(PATIENCE, "some work is done", || redis.hashes() > 50);
    assert!(!worker.lines().iter().any(|line| line.contains("ERROR")), "{:#?}", worker.lines());
}

#[test]
fn a_peer_that_does_not_speak_http2_is_asked_whether_it_does() {
    let Some(redis) = Redis::start() else { return };
    let (rng, hasher) = (Peer::rng(), Peer::hasher());
    let worker = worker(&rng, &hasher, &redis.url(), &[("CONNECTIONS", "http2")]);
    for answers in [Box::new(peer::random_bytes) as Box<dyn Script>, Box::new(only(*b""))] {
        rng.turn(answers);
        let seen = worker.lines().len();
        let question = "; does it speak HTTP/2, as the original does not?";
        worker.wait_until(PATIENCE, question, |lines| {
            lines[seen..].iter().find(|line| line.ends_with(question)).map(drop)
        });
    }
    assert_no_panic(&worker);
    assert_eq!(redis.hashes(), 0);
}
