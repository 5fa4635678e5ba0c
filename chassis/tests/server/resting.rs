//! Connections of HTTP/1.1 that have nothing to do for a while, and then go on.

use std::{
    net::Shutdown as Half,
    thread,
    time::{Duration, Instant},
};

use chassis::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::Service;

use crate::{GET, SHORT, patient, start};

/// Requests that are sent before any answer is read.
const MANY: usize = 50_000;

/// The time for a header where it matters, which is long for a machine that is busy.
const LIMIT: Duration = Duration::from_millis(1500);

/// How much of a request's header is half of it, in bytes.
const HALF: usize = 10;

#[test]
fn a_connection_that_has_rested_goes_on() {
    let service = start(patient());
    let mut client = service.connect();
    for body in ["", "a", "abc"] {
        client.send(format!(
            "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.answer().text(), body.len().to_string());
        thread::sleep(2 * SHORT);
        client.send(GET);
        assert_eq!(client.answer().text(), "hello\n");
    }
    thread::sleep(2 * SHORT);
    client.socket().shutdown(Half::Write).unwrap();
    assert!(client.rest().is_empty());
}

#[test]
fn half_a_request_is_kept_over_a_rest() {
    let service = start(patient());
    let mut client = service.connect();
    client.send([GET, &GET[..HALF]].concat());
    assert_eq!(client.answer().text(), "hello\n");
    thread::sleep(2 * SHORT);
    client.send(&GET[HALF..]);
    assert_eq!(client.answer().text(), "hello\n");
}

/// Asserts that these pieces, which end a second request, leave a connection that rests again.
fn assert_rests_after(service: &Service, pieces: &[&str]) {
    let (half, end) = GET.split_at(HALF);
    let mut client = service.connect();
    for piece in [pieces, &[half, end]].concat() {
        client.send(piece);
        // Two of them are longer than the limit, and only after a rest does the time for a header
        // begin with its first byte.
        thread::sleep(LIMIT * 3 / 5);
    }
    (0..3).for_each(|_| assert_eq!(client.answer().status, 200));
}

#[test]
fn a_connection_rests_again_after_half_a_request() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|maximum| maximum > 2100), "ulimit -Hn of {maximum:?} is too low");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let (half, end) = GET.split_at(HALF);
    let behind = [GET, half].concat();
    let limits = Limits { header: LIMIT, ..patient() };
    let (few, many) = (start(limits), start(limits));
    // Among so many it rests sooner.
    let _others: Vec<_> = (0..1001).map(|_| many.connect()).collect();
    thread::scope(|scope| {
        for service in [&few, &many] {
            scope.spawn(|| assert_rests_after(service, &[&behind, end]));
            scope.spawn(|| assert_rests_after(service, &[GET, half, end]));
        }
    });
}

#[test]
fn a_rest_gives_no_more_time_for_a_header() {
    let service = start(Limits { header: LIMIT, ..patient() });
    let mut client = service.connect();
    client.send([GET, "GET / HTTP/1.1\r\nX-Slow: "].concat());
    assert_eq!(client.answer().text(), "hello\n");
    let start = Instant::now();
    while client.try_send("a").is_ok() {
        assert!(start.elapsed() < 2 * LIMIT, "still open");
        thread::sleep(SHORT / 10);
    }
}

#[test]
fn the_rest_of_a_body_is_no_request_after_a_rest() {
    let service = start(patient());
    let mut client = service.connect();
    let length = 10 + GET.len();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n0123456789"));
    assert_eq!(client.answer().status, 200);
    thread::sleep(2 * SHORT);
    let _ = client.try_send(GET);
    assert!(client.is_silent(SHORT) || client.rest().is_empty());
}

#[test]
fn a_body_that_comes_after_the_answer_is_no_request() {
    let service = start(patient());
    let tries: Vec<_> = (0..100).map(|_| service.connect()).collect();
    let answered = tries.into_iter().map(|mut client| {
        let length = GET.len();
        client
            .send(format!("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        // The answer comes when the connection would come to rest.
        thread::spawn(move || {
            assert_eq!(client.answer().status, 200);
            let _ = client.try_send(GET);
            client.is_silent(SHORT) || client.rest().is_empty()
        })
    });
    let answered: Vec<_> = answered.collect();
    assert!(answered.into_iter().all(|silent| silent.join().unwrap()));
}

#[test]
fn half_a_greeting_and_an_end_take_no_time() {
    let service = start(patient());
    let mut client = service.connect();
    client.send("P");
    client.socket().shutdown(Half::Write).unwrap();
    assert!(client.rest().is_empty());
}

#[test]
fn an_answer_that_is_not_at_its_end_does_not_rest() {
    let service = start(patient());
    let mut client = service.connect();
    client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client.read(&mut [0; 100]);
    thread::sleep(2 * SHORT);
    client.send(GET);
    assert!(client.is_silent(SHORT));
}

#[test]
fn answers_that_nobody_has_read_yet_are_not_lost_in_a_rest() {
    let service = start(patient());
    let mut client = service.connect();
    let mut socket = client.socket().try_clone().unwrap();
    let asking = thread::spawn(move || {
        let request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
        std::io::Write::write_all(&mut socket, request.repeat(MANY).as_bytes()).unwrap();
    });
    thread::sleep(5 * SHORT);
    for answered in 0..MANY {
        assert_eq!(client.head().status, 200, "{answered}");
    }
    asking.join().unwrap();
}
