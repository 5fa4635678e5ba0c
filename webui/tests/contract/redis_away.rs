//! What webui says while redis is away, and after.

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

use testkit::{PATIENCE, Redis, Service, eventually, http};

use crate::{get, json, process_id, signal, start_on};

/// Whether `/json` says within a second that redis is away; the best of three, for noise.
fn assert_away(service: &Service) {
    let mut took = Vec::new();
    for _ in 0..3 {
        // Longer than a reading is shared.
        thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        let answer = get(service, "/json");
        took.push(started.elapsed());
        let text = answer.text();
        assert_eq!(answer.status, 503, "{text}");
        assert!(text.ends_with(".\n") && text.lines().count() == 1, "{text}");
        assert!(text.contains("redis"), "{text}");
    }
    assert!(took.iter().min() < Some(&Duration::from_secs(1)), "{took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(4)), "{took:?}");
    assert_eq!(get(service, "/").status, 302);
    assert_eq!(get(service, "/index.html").status, 200);
    eventually(PATIENCE, "a page that says so", || {
        get(service, "/index.html").text().contains("The counters cannot be read: redis")
            && get(service, "/fragment").text().contains("The counters cannot be read: redis")
    });
}

/// Two seconds, and some for a busy machine.
fn assert_recovers(service: &Service) {
    eventually(Duration::from_secs(4), "recovery", || get(service, "/json").status == 200);
    eventually(PATIENCE, "a page without the notice", || {
        !get(service, "/index.html").text().contains("cannot be read")
    });
}

#[test]
fn it_starts_without_redis_and_recovers_by_itself() {
    let Some(mut redis) = Redis::start() else { return };
    redis.cli(&["SET", "hashes", "5"]);
    redis.kill();
    let service = start_on(&redis.url());
    assert_away(&service);
    redis.start_again();
    assert_recovers(&service);
    assert_eq!(json(&service)["hashes"], "5");
    redis.kill();
    assert_away(&service);
    redis.start_again();
    assert_recovers(&service);
}

#[test]
fn a_redis_that_hangs_is_away_until_it_moves_again() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    json(&service);
    let id = process_id(&redis);
    signal("STOP", &id);
    assert_away(&service);
    let askers: Vec<_> =
        (0..20).map(|_| http::ask(service.address, "GET /json", b"").unwrap()).collect();
    assert!(askers.into_iter().all(|asker| http::answer(asker).unwrap().status == 503));
    signal("CONT", &id);
    assert_recovers(&service);
}

#[test]
fn a_redis_that_accepts_and_never_speaks_is_away() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = start_on(&format!("redis://{}", silent.local_addr().unwrap()));
    assert_away(&service);
}

#[test]
fn a_connection_that_redis_no_longer_answers_is_replaced() {
    let Some(redis) = Redis::start() else { return };
    let mute = Arc::new(AtomicBool::new(false));
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", proxy.local_addr().unwrap());
    let (port, first_is_mute) = (redis.port(), mute.clone());
    thread::spawn(move || {
        for (number, client) in proxy.incoming().map_while(Result::ok).enumerate() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                let mute = first_is_mute.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        // Taken and not passed on, as by a network that fell apart.
                        if number > 0 || !mute.load(Ordering::SeqCst) {
                            to.write_all(&buffer[..n]).unwrap();
                        }
                    }
                });
            }
        }
    });
    let service = start_on(&url);
    json(&service);
    mute.store(true, Ordering::SeqCst);
    eventually(PATIENCE, "an outage", || get(&service, "/json").status == 503);
    assert_recovers(&service);
}

#[test]
fn a_redis_that_wants_a_password_is_away() {
    let Some(redis) = Redis::start_with(&["--requirepass", "secret"]) else { return };
    assert_away(&start_on(&redis.url()));
}
