//! HTTP/2 without TLS, on the port that HTTP/1.1 has.

use std::{
    future::Future,
    thread,
    time::{Duration, Instant},
};

use chassis::Limits;
use reqwest::{Client, StatusCode, Version};
use testkit::{PATIENCE, Service};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    GET, LARGE, SHORT,
    frames::{DATA, Frames, GOAWAY, HEADERS, PREFACE, SETTINGS},
    patient, start,
};

/// What a client says first: the preface and its settings, which are the usual ones.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How much of an answer a client takes that says nothing about it.
const WINDOW: u32 = 65_535;

/// What stands before the number of bytes that a peer may send more on all streams together.
const WINDOW_UPDATE_OF_ALL: &[u8] = &[0, 0, 4, 8, 0, 0, 0, 0, 0];

/// How much of `frames` is answers.
fn data(frames: &[(u8, usize)]) -> usize {
    frames.iter().filter(|frame| frame.0 == DATA).map(|frame| frame.1).sum()
}

fn with_client<F: Future>(test: impl FnOnce(Client) -> F) -> F::Output {
    let client = Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    Runtime::new().unwrap().block_on(test(client))
}

fn url(service: &Service, path: &str) -> String {
    format!("http://{}{path}", service.address)
}

#[test]
fn one_port_speaks_both_protocols() {
    let service = start(patient());
    let mut old = service.connect();
    with_client(async |client| {
        for _ in 0..2 {
            let answer = client.get(url(&service, "/")).send().await.unwrap();
            assert_eq!((answer.version(), answer.status()), (Version::HTTP_2, StatusCode::OK));
            assert_eq!(answer.text().await.unwrap(), "hello\n");
            old.send(GET);
            assert_eq!(old.answer().text(), "hello\n");
        }
        let large = vec![7; 1_000_000];
        let answer = client.post(url(&service, "/length")).body(large).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "1000000");
    });
}

#[test]
fn the_protocol_is_told_however_slowly_its_first_bytes_come() {
    let service = start(patient());
    let mut new = service.connect();
    let mut old = service.connect();
    let post = "POST /length HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc";
    for number in 0..GREETING.len().max(post.len()) {
        new.try_send(GREETING.get(number..=number).unwrap_or_default()).unwrap();
        old.try_send(post.as_bytes().get(number..=number).unwrap_or_default()).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(old.answer().text(), "3");
    service.stop();
    let said = new.rest();
    assert_eq!(said.get(3), Some(&SETTINGS), "{said:?}");
}

#[test]
fn little_is_kept_of_what_nobody_has_read() {
    let service = start(Limits { header: SHORT, ..patient() });
    let mut client = service.connect();
    client.send(GREETING);
    let said = client.rest();
    let stream = &[0, 4, 0, 1, 0, 0];
    assert!(said.windows(6).any(|setting| setting == stream), "not 64 KiB: {said:?}");
    let connection = &[WINDOW_UPDATE_OF_ALL, &(256 * 1024 - WINDOW).to_be_bytes()].concat();
    assert!(said.windows(13).any(|update| update == connection), "not 256 KiB: {said:?}");
}

#[test]
fn more_requests_than_one_connection_may_have_wait_for_their_turn() {
    let service = start(patient());
    let statuses = with_client(async |client| {
        let mut answers = JoinSet::new();
        for _ in 0..2000 {
            answers.spawn(client.get(url(&service, "/")).send());
        }
        answers.join_all().await
    });
    assert!(statuses.into_iter().all(|answer| answer.unwrap().status() == StatusCode::OK));
}

#[test]
fn requests_are_answered_when_the_service_stops() {
    let service = start(patient());
    with_client(async |client| {
        let mut answers = JoinSet::new();
        for _ in 0..50 {
            answers.spawn(client.get(url(&service, "/wait")).send());
        }
        tokio::time::sleep(SHORT).await;
        service.stop();
        for answer in answers.join_all().await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            // The protocol has another way to say so.
            assert_eq!(answer.headers().get("connection"), None);
            assert_eq!(answer.text().await.unwrap(), "waited\n");
        }
    });
    service.wait(PATIENCE);
}

#[test]
fn a_greeting_that_never_ends_is_closed() {
    let service = start(Limits { header: SHORT, ..patient() });
    for greeting in [&b"PRI "[..], PREFACE, GREETING] {
        let started = Instant::now();
        let mut client = service.connect();
        client.send(greeting);
        let _ = client.rest();
        assert!(started.elapsed() >= SHORT, "{greeting:?} was given no time");
    }
    service.assert_alive();
}

#[test]
fn a_greeting_that_never_ends_does_not_hold_up_the_end() {
    let service = start(patient());
    let greetings = [&b"PRI "[..], PREFACE, GREETING];
    let mut clients = greetings.map(|_| service.connect());
    for (client, greeting) in clients.iter_mut().zip(greetings) {
        client.send(greeting);
    }
    thread::sleep(SHORT);
    service.stop();
    service.wait(PATIENCE);
}

#[test]
fn an_idle_client_is_closed_although_it_answers_pings() {
    let service = start(Limits { header: SHORT, ..patient() });
    let mut idle = Frames::connect(&service, WINDOW);
    idle.get(1, "/");
    let (frames, closed) = idle.read_for(PATIENCE);
    assert!(closed && data(&frames) == "hello\n".len() && idle.pings > 0, "{frames:?}");
    assert!(frames.iter().any(|frame| frame.0 == GOAWAY), "not told to leave: {frames:?}");
}

#[test]
fn an_idle_client_is_closed_although_it_never_says_goodbye() {
    let service = start(Limits { header: SHORT, ..patient() });
    let mut idle = Frames::connect(&service, WINDOW);
    idle.get(1, "/");
    assert!(!idle.into_client().rest().is_empty());
}

#[test]
fn a_client_that_waits_for_its_answer_is_not_idle() {
    let service = start(Limits { header: SHORT, first_byte: 2 * SHORT, ..patient() });
    with_client(async |client| {
        let answer = client.get(url(&service, "/late")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    });
}

#[test]
fn an_answer_that_is_silent_for_long_is_not_ended() {
    let service = start(Limits { header: SHORT, stalled_write: SHORT, ..patient() });
    let mut listener = Frames::connect(&service, WINDOW);
    listener.get(1, "/silent");
    let (frames, closed) = listener.read_for(10 * SHORT);
    assert!(!closed && data(&frames) == "hello\n".len() && listener.pings > 0, "{frames:?}");
    assert!(!frames.iter().any(|frame| frame.0 == GOAWAY), "told to leave: {frames:?}");
}

#[test]
fn a_client_that_takes_no_answers_is_closed_although_it_answers_pings() {
    let service = start(Limits { header: SHORT, stalled_write: 5 * SHORT, ..patient() });
    for window in [0, 1, WINDOW] {
        let mut stalled = Frames::connect(&service, window);
        for stream in [1, 3] {
            stalled.get(stream, "/large");
        }
        let (frames, closed) = stalled.read_for(PATIENCE);
        assert!(closed && stalled.pings > 0, "with {window}: {frames:?}");
        assert!(data(&frames) <= WINDOW as usize, "with {window}: {frames:?}");
        assert_eq!(frames.iter().filter(|frame| frame.0 == HEADERS).count(), 2);
    }
    service.assert_alive();
}

#[test]
fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let service = start(Limits { stalled_write: 5 * SHORT, ..patient() });
    let mut slow = Frames::connect(&service, 0);
    slow.get(1, "/large");
    let started = Instant::now();
    let mut received = 0;
    while started.elapsed() < 12 * SHORT {
        slow.take(1, 1);
        let (frames, closed) = slow.read_for(SHORT / 4);
        assert!(!closed, "cut after {received} bytes");
        received += data(&frames);
    }
    assert!(received > 0);
    for stream in [0, 1] {
        slow.take(stream, LARGE as u32);
    }
    while received < LARGE {
        let (frames, closed) = slow.read_for(SHORT);
        assert!(!closed, "cut after {received} bytes");
        received += data(&frames);
    }
}

#[test]
fn nonsense_ends_its_own_connection_alone() {
    let service = start(patient());
    let mut good = service.connect();
    for nonsense in [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], b"PRI / HTTP/1.1\r\n\r\n", b"PRI"] {
        let mut client = service.connect();
        client.send([nonsense, &[0xff; 100]].concat());
        let _ = client.rest();
    }
    good.send(GET);
    assert_eq!(good.answer().status, 200);
}
