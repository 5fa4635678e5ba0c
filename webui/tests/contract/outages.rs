//! webui while Redis is unreachable, and its recovery.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use testkit::{Client, Redis, Service, TIMEOUT, eventually};

use crate::{get, json, process_id, signal, start_on};

/// Checks that `/json` and the page report the outage, and that the fastest of three requests does
/// not wait for the five seconds that a worker gives redis.
fn assert_unavailable(service: &Service) {
    let mut took = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let response = get(service, "/json");
        took.push(started.elapsed());
        let text = response.text();
        assert_eq!(response.status, 503, "{text}");
        assert!(text.ends_with(".\n") && text.lines().count() == 1, "{text}");
        assert!(text.contains("redis"), "{text}");
    }
    assert!(took.iter().min() < Some(&Duration::from_secs(4)), "{took:?}");
    assert_eq!(get(service, "/").status, 302);
    assert_eq!(get(service, "/index.html").status, 200);
    eventually(TIMEOUT, "the notice on the page", || {
        get(service, "/index.html").text().contains("The counters cannot be read: redis")
            && get(service, "/fragment").text().contains("The counters cannot be read: redis")
    });
}

/// Checks that webui recovers.
fn assert_recovers(service: &Service) {
    eventually(TIMEOUT, "recovery", || get(service, "/json").status == 200);
    eventually(TIMEOUT, "the page without the notice", || {
        !get(service, "/index.html").text().contains("cannot be read")
    });
}

#[test]
fn it_starts_without_redis_and_recovers() {
    let Some(mut redis) = Redis::start() else { return };
    redis.cli(&["SET", "hashes", "5"]);
    redis.kill();
    let service = start_on(&redis.url());
    assert_unavailable(&service);
    redis.start_again();
    assert_recovers(&service);
    assert_eq!(json(&service)["hashes"], "5");
    redis.kill();
    assert_unavailable(&service);
    redis.start_again();
    assert_recovers(&service);
}

#[test]
fn a_redis_that_hangs_is_unavailable_until_it_continues() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    json(&service);
    let id = process_id(&redis);
    signal("STOP", &id);
    assert_unavailable(&service);
    let requests: Vec<_> =
        (0..20).map(|_| Client::start(service.address, "GET /json", b"").unwrap()).collect();
    assert!(requests.into_iter().all(|request| request.finish().unwrap().status == 503));
    signal("CONT", &id);
    assert_recovers(&service);
}

#[test]
fn a_redis_that_accepts_and_never_responds_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = start_on(&format!("redis://{}", silent.local_addr().unwrap()));
    assert_unavailable(&service);
}

#[test]
fn a_connection_without_responses_is_replaced() {
    let Some(redis) = Redis::start() else { return };
    let broken = Arc::new(AtomicBool::new(false));
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", proxy.local_addr().unwrap());
    let (port, first_is_broken) = (redis.port(), broken.clone());
    thread::spawn(move || {
        for (number, client) in proxy.incoming().map_while(Result::ok).enumerate() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                let broken = first_is_broken.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        // Drops the bytes of the first connection, as a broken network does.
                        if number > 0 || !broken.load(Ordering::SeqCst) {
                            to.write_all(&buffer[..n]).unwrap();
                        }
                    }
                });
            }
        }
    });
    let service = start_on(&url);
    json(&service);
    broken.store(true, Ordering::SeqCst);
    eventually(TIMEOUT, "an outage", || get(&service, "/json").status == 503);
    assert_recovers(&service);
}

#[test]
fn a_redis_that_requires_a_password_is_unavailable() {
    let Some(redis) = Redis::start_with(&["--requirepass", "secret"]) else { return };
    assert_unavailable(&start_on(&redis.url()));
}
