//! The page of a coin.

use std::process::Command;

use sha2::{Digest, Sha256};
use store::Coin;
use testkit::{Client, Redis};

use crate::{add_coins, get, memory, signal, start, start_on};

const KEY: &str = "0c4f2b8b4d3ef0a9c5b1a0d2e3f4958677a8b9cadbecfd0e1f20314253647586";

#[test]
fn a_coin_shows_its_bytes_and_whether_its_key_is_their_hash() {
    let bytes = [7; 32];
    let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let store = memory();
    let coins = vec![Coin { hash: sum.clone(), bytes }, Coin { hash: KEY.to_owned(), bytes }];
    add_coins(&store, 2, coins);

    let service = start(store);
    let response = get(&service, &format!("/coins/{sum}"));
    let text = response.text();
    assert_eq!(response.status, 200, "{text}");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
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
fn unknown_hashes_are_404_and_invalid_ones_are_400() {
    let service = start(memory());
    assert_eq!(get(&service, &format!("/coins/{KEY}")).status, 404);
    let (upper, long) = (KEY.to_uppercase(), format!("{KEY}0"));
    for invalid in
        ["0", &KEY[1..], &upper, &long, "%00", "%ff", "..%2f..%2fjson", &"%30".repeat(63)]
    {
        let response = get(&service, &format!("/coins/{invalid}"));
        assert_eq!(response.status, 400, "{invalid}: {}", response.text());
    }
}

#[test]
fn an_invalid_coin_in_the_wallet_is_shown_unchanged() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["HSET", "wallet", KEY, ""]);
    let service = start_on(&redis.url());
    let text = get(&service, &format!("/coins/{KEY}")).text();
    assert!(text.contains("bytes:  \nsha256: e3b0c44298fc1c14") && text.contains("NO"), "{text}");
}

#[test]
fn concurrent_coin_requests_succeed_and_fail_while_redis_hangs() {
    let Some(redis) = Redis::start() else { return };
    for coin in 0..250 {
        redis.cli(&["HSET", "wallet", &format!("{coin:064x}"), &format!("bytes of {coin}")]);
    }
    let service = start_on(&redis.url());
    let request = |coin: u32| {
        Client::start(service.address, &format!("GET /coins/{coin:064x}"), b"").unwrap()
    };
    let requests: Vec<_> = (0..260).map(request).collect();
    for (coin, request) in requests.into_iter().enumerate() {
        let response = request.finish().unwrap();
        assert_eq!(response.status, if coin < 250 { 200 } else { 404 }, "{coin}");
        let bytes: String =
            format!("bytes of {coin}").bytes().map(|b| format!("{b:02x}")).collect();
        assert!(coin >= 250 || response.text().contains(&format!("bytes:  {bytes}\n")), "{coin}");
    }

    let id = crate::process_id(&redis);
    signal("STOP", &id);
    let response = get(&service, &format!("/coins/{KEY}"));
    signal("CONT", &id);
    assert_eq!(response.status, 503);
    assert!(response.text().contains("redis"), "{}", response.text());
}
