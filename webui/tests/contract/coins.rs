//! A coin as anybody can check it.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use store::{Batch, Coin};
use testkit::{Redis, http};

use crate::{get, memory, signal, start, start_on};

const KEY: &str = "0c4f2b8b4d3ef0a9c5b1a0d2e3f4958677a8b9cadbecfd0e1f20314253647586";

#[test]
fn a_coin_shows_its_bytes_and_whether_they_are_what_its_key_says() {
    let bytes = [7; 32];
    let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let store = memory();
    let coins = vec![Coin { hash: sum.clone(), bytes }, Coin { hash: KEY.to_owned(), bytes }];
    let batch = Batch { run: "test".to_owned(), sequence: 1, hashes: 2, coins };
    tokio::runtime::Runtime::new().unwrap().block_on(store.add(&batch)).unwrap();

    let service = start(store);
    let answer = get(&service, &format!("/coins/{sum}"));
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    for part in [&format!("key:    {sum}\n"), &"07".repeat(32), &format!("sha256: {sum}\n"), "yes"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let line = text.lines().find(|line| line.contains("sha256sum")).unwrap();
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&sum), "{output:?}");

    let text = get(&service, &format!("/coins/{KEY}")).text();
    assert!(text.contains("NO, the key is not the hash") && text.contains(&sum), "{text}");
}

#[test]
fn only_hashes_have_coins_and_only_coins_have_answers() {
    let service = start(memory());
    assert_eq!(get(&service, &format!("/coins/{KEY}")).status, 404);
    let (upper, long) = (KEY.to_uppercase(), format!("{KEY}0"));
    for wrong in ["0", &KEY[1..], &upper, &long, "%00", "%ff", "..%2f..%2fjson", &"%30".repeat(63)]
    {
        let answer = get(&service, &format!("/coins/{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
}

#[test]
fn whatever_is_in_the_wallet_is_shown_as_it_is() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["HSET", "wallet", KEY, ""]);
    let service = start_on(&redis.url());
    let text = get(&service, &format!("/coins/{KEY}")).text();
    assert!(text.contains("bytes:  \nsha256: e3b0c44298fc1c14") && text.contains("NO"), "{text}");
}

#[test]
fn many_coins_are_looked_up_at_once_and_none_while_redis_is_away() {
    let Some(redis) = Redis::start() else { return };
    for coin in 0..250 {
        redis.cli(&["HSET", "wallet", &format!("{coin:064x}"), &format!("bytes of {coin}")]);
    }
    let service = start_on(&redis.url());
    let ask =
        |coin: u32| http::ask(service.address, &format!("GET /coins/{coin:064x}"), b"").unwrap();
    let started = Instant::now();
    let askers: Vec<_> = (0..260).map(ask).collect();
    for (coin, asker) in askers.into_iter().enumerate() {
        let answer = http::answer(asker).unwrap();
        assert_eq!(answer.status, if coin < 250 { 200 } else { 404 }, "{coin}");
        let bytes: String =
            format!("bytes of {coin}").bytes().map(|b| format!("{b:02x}")).collect();
        assert!(coin >= 250 || answer.text().contains(&format!("bytes:  {bytes}\n")), "{coin}");
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());

    let id = crate::process_id(&redis);
    signal("STOP", &id);
    let answer = get(&service, &format!("/coins/{KEY}"));
    signal("CONT", &id);
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("redis"), "{}", answer.text());
}
