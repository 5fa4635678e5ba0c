//! One set of checks against every store, and then what only one of them can do.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use store::{Batch, Coin, RedisUrl, Rng, StageTimes, Store, Totals, Worker};
use tempfile::TempDir;
use testkit::Redis;
use tokio::task::JoinSet;

/// Where a store can be.
enum Place {
    Redis(Redis),
    File(TempDir),
    Memory,
}

impl Place {
    fn all() -> Vec<Self> {
        let file = Self::File(tempfile::tempdir().unwrap());
        Redis::start().map(Self::Redis).into_iter().chain([file, Self::Memory]).collect()
    }

    fn open(&self) -> Store {
        match self {
            Self::Redis(redis) => connect(&redis.url()),
            Self::File(folder) => Store::file(&file_in(folder)).unwrap(),
            Self::Memory => Store::memory().unwrap(),
        }
    }
}

fn connect(url: &str) -> Store {
    Store::redis(&url.parse::<RedisUrl>().unwrap()).unwrap()
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("new folder").join("coins.redb")
}

/// A coin that no other number gives, with bytes that are no text.
fn coin(number: u64) -> Coin {
    let mut bytes = [0xff; 32];
    bytes[..4].copy_from_slice(b"\0\n\r\x80");
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Coin { hash: format!("{number:064x}"), bytes }
}

fn batch(run: &str, sequence: u64, hashes: u64, coins: &[u64]) -> Batch {
    let coins = coins.iter().map(|&number| coin(number)).collect();
    Batch { run: run.to_owned(), sequence, hashes, coins }
}

async fn assert_totals(store: &Store, coins: u64, hashes: &str) {
    let hashes = Some(hashes.to_owned());
    assert_eq!(store.totals().await.unwrap(), Totals { coins, hashes });
}

#[tokio::test]
async fn there_are_no_hashes_before_the_first_batch_and_zero_after_an_empty_one() {
    for place in Place::all() {
        let store = place.open();
        assert_eq!(store.totals().await.unwrap(), Totals { coins: 0, hashes: None });
        assert!(store.add(&batch("a", 1, 0, &[])).await.unwrap().is_empty());
        assert_totals(&store, 0, "0").await;
    }
}

#[tokio::test]
async fn batches_of_one_run_and_of_several_add_up() {
    for place in Place::all() {
        let store = place.open();
        for (run, sequence, hashes, coins) in
            [("a", 1, 5, &[1][..]), ("a", 2, 7, &[]), ("b", 1, 11, &[2, 3]), ("a", 3, 13, &[4])]
        {
            let known = store.add(&batch(run, sequence, hashes, coins)).await.unwrap();
            assert!(known.is_empty());
        }
        assert_totals(&store, 4, "36").await;
    }
}

#[tokio::test]
async fn a_batch_that_is_sent_again_counts_once() {
    for place in Place::all() {
        let store = place.open();
        let (first, second) = (batch("a", 1, 5, &[1]), batch("a", 2, 7, &[2]));
        for _ in 0..3 {
            assert!(store.add(&first).await.unwrap().is_empty());
        }
        assert_totals(&store, 1, "5").await;
        // Between the two, another run with the same numbers.
        store.add(&batch("b", 1, 100, &[3])).await.unwrap();
        store.add(&second).await.unwrap();
        store.add(&batch("b", 2, 1000, &[4])).await.unwrap();
        assert!(store.add(&second).await.unwrap().is_empty());
        assert_totals(&store, 4, "1112").await;
    }
}

#[tokio::test]
async fn a_batch_that_arrives_again_after_its_successors_counts_once() {
    for place in Place::all() {
        let store = place.open();
        // Ten comes after nine, though not in the order of text.
        for sequence in 1..=10 {
            store.add(&batch("a", sequence, 1, &[sequence])).await.unwrap();
        }
        for late in [9, 1, 10, 2] {
            assert!(store.add(&batch("a", late, 1, &[late])).await.unwrap().is_empty());
        }
        assert_totals(&store, 10, "10").await;
        store.add(&batch("a", 11, 1, &[])).await.unwrap();
        assert_totals(&store, 10, "11").await;
    }
}

#[tokio::test]
async fn coins_that_were_there_already_are_returned_and_kept_once() {
    for place in Place::all() {
        let store = place.open();
        store.add(&batch("a", 1, 1, &[1, 2])).await.unwrap();
        let known = store.add(&batch("b", 1, 1, &[2, 3, 1])).await.unwrap();
        assert_eq!(known, [coin(2).hash, coin(1).hash]);
        assert_totals(&store, 3, "2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_adds_at_once_are_exact() {
    for place in Place::all() {
        let store = place.open();
        let mut runs = JoinSet::new();
        for run in 0..16 {
            let store = store.clone();
            runs.spawn(async move {
                for sequence in 1..=20 {
                    let batch = batch(&run.to_string(), sequence, 3, &[run * 100 + sequence]);
                    store.add(&batch).await.unwrap();
                    store.add(&batch).await.unwrap();
                }
            });
        }
        while let Some(run) = runs.join_next().await {
            run.unwrap();
        }
        assert_totals(&store, 16 * 20, "960").await;
    }
}

#[tokio::test]
async fn the_counters_outlive_a_crash_of_redis_and_the_end_of_a_process_with_a_file() {
    for mut place in Place::all() {
        let mut store = place.open();
        store.add(&batch("a", 1, 5, &[1])).await.unwrap();
        match &mut place {
            Place::Redis(redis) => {
                redis.kill();
                assert!(store.totals().await.is_err());
                assert!(store.add(&batch("a", 2, 7, &[2])).await.is_err());
                redis.start_again();
                // The number of the batch outlives the crash, too.
                store.add(&batch("a", 1, 5, &[1])).await.unwrap();
            }
            Place::File(_) => {
                drop(store);
                store = place.open();
            }
            Place::Memory => continue,
        }
        assert_totals(&store, 1, "5").await;
        store.add(&batch("a", 2, 7, &[2])).await.unwrap();
        assert_totals(&store, 2, "12").await;
    }
}

#[tokio::test]
async fn redis_holds_what_the_contract_says_and_nothing_else() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    store.add(&batch("a", 1, 5, &[1])).await.unwrap();
    store.add(&batch("b", 9, 2, &[])).await.unwrap();
    let keys = redis.cli(&["KEYS", "*"]);
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort();
    let ours = ["dockercoins:coins", "dockercoins:flush:a", "dockercoins:flush:b"];
    assert_eq!(keys, [&ours[..], &["hashes", "wallet"]].concat());
    assert_eq!(redis.cli(&["GET", "hashes"]), "7");
    assert_eq!(redis.cli(&["GET", "dockercoins:flush:b"]), "9");
    let raw: String = coin(1).bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(redis.wallet(), [(coin(1).hash, raw)]);
    for key in &ours[1..] {
        let seconds: i64 = redis.cli(&["TTL", key]).parse().unwrap();
        assert!((3600..=7 * 24 * 3600).contains(&seconds), "{key} expires in {seconds} s");
    }
    assert_eq!(redis.cli(&["TTL", "hashes"]), "-1");
    assert_eq!(redis.cli(&["TTL", "wallet"]), "-1");
}

#[tokio::test]
async fn redis_may_cut_connections_and_forget_scripts_and_data() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    for sequence in 1..=10 {
        store.add(&batch("a", sequence, 1, &[sequence])).await.unwrap();
        assert_ne!(redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]), "0");
        assert_totals(&store, sequence, &sequence.to_string()).await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    redis.cli(&["SCRIPT", "FLUSH"]);
    store.add(&batch("a", 11, 1, &[])).await.unwrap();
    assert_totals(&store, 10, "11").await;
    redis.cli(&["FLUSHALL"]);
    assert_eq!(store.totals().await.unwrap(), Totals { coins: 0, hashes: None });
    store.add(&batch("a", 12, 1, &[1])).await.unwrap();
    assert_totals(&store, 1, "1").await;
}

#[tokio::test]
async fn keys_of_another_type_are_an_error_that_counts_nothing_until_they_are_gone() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    for (sequence, bad, good) in [(1, "wallet", "hashes"), (2, "hashes", "wallet")] {
        redis.cli(&["FLUSHALL"]);
        redis.cli(&["LPUSH", bad, "something else"]);
        let batch = batch("a", sequence, 5, &[1]);
        for _ in 0..2 {
            let error = format!("{:#}", store.add(&batch).await.unwrap_err());
            assert!(error.starts_with(&format!("{}: ", redis.name())), "{error}");
            assert!(error.contains("WRONGTYPE"), "{error}");
        }
        assert_eq!(redis.cli(&["EXISTS", good]), "0", "{good} was written to");
        assert!(store.totals().await.is_err());
        redis.cli(&["DEL", bad]);
        for _ in 0..2 {
            assert!(store.add(&batch).await.unwrap().is_empty());
        }
        assert_totals(&store, 1, "5").await;
    }
}

#[tokio::test]
async fn a_password_comes_from_the_url_and_is_never_shown() {
    let Some(redis) = Redis::start_with(&["--requirepass", "right"]) else { return };
    let with = |password: &str| format!("redis://:{password}@{}", redis.name());
    let (right, wrong) = (connect(&with("right")), connect(&with("wr0ng")));
    right.add(&batch("a", 1, 1, &[1])).await.unwrap();
    for _ in 0..2 {
        let error = wrong.add(&batch("b", 1, 1, &[2])).await.unwrap_err();
        let (short, long) = (format!("{error:#}"), format!("{error:?}"));
        assert!(short.starts_with(&redis.name()), "{short}");
        assert!(!short.contains("wr0ng") && !long.contains("wr0ng"), "{long}");
    }
    assert_totals(&right, 1, "1").await;
    redis.cli(&["-a", "right", "--no-auth-warning", "CONFIG", "SET", "requirepass", "wr0ng"]);
    wrong.add(&batch("b", 1, 1, &[2])).await.unwrap();
    assert_totals(&wrong, 2, "2").await;
}

#[test]
fn a_redis_url_shows_host_and_port_only() {
    for (url, shown) in [
        ("redis://redis", "redis:6379"),
        ("redis://someone:s3cret@host:7000/3", "host:7000"),
        ("rediss://:s3cret@host", "host:6379"),
        ("redis://[::1]", "[::1]:6379"),
        ("rediss://:s3cret@[fd00::7]:7000", "[fd00::7]:7000"),
        ("redis://127.0.0.1", "127.0.0.1:6379"),
    ] {
        assert_eq!(url.parse::<RedisUrl>().unwrap().to_string(), shown);
    }
    for url in ["", "redis", "http://redis", "redis://:s3cret", "redis://:s3cret@host:port"] {
        let error = url.parse::<RedisUrl>().err().expect(url);
        assert!(error.contains("redis://redis:6379") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = silent.local_addr().unwrap().to_string();
    let store = Store::redis(&format!("redis://{name}").parse::<RedisUrl>().unwrap()).unwrap();
    let totals = tokio::time::timeout(Duration::from_secs(15), store.totals()).await;
    let error = totals.expect("an end").unwrap_err().to_string();
    assert!(error.starts_with(&name), "{error}");
}

#[test]
fn a_file_that_is_open_or_cannot_be_made_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let store = Store::file(&path).unwrap();
    let error = format!("{:#}", Store::file(&path).err().expect("the file is taken"));
    assert!(error.contains("coins.redb") && error.contains("already open"), "{error}");
    drop(store);
    drop(Store::file(&path).unwrap());

    let error = format!("{:#}", Store::file(folder.path()).err().expect("this is a folder"));
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
    let below_a_file = path.join("coins.redb");
    let error = format!("{:#}", Store::file(&below_a_file).err().expect("no folder"));
    assert!(error.contains(&path.display().to_string()), "{error}");

    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, "something else ".repeat(1000)).unwrap();
    let error = format!("{:#}", Store::file(&garbage).err().expect("no store"));
    assert!(error.contains("garbage"), "{error}");
    assert!(std::fs::read(&garbage).unwrap().starts_with(b"something else"));
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn the_newest_coins_come_first_and_each_can_be_looked_up() {
    for place in Place::all() {
        let store = place.open();
        store.add(&batch("a", 1, 30, &(0..25).collect::<Vec<_>>())).await.unwrap();
        // A coin that was there already is no news.
        store.add(&batch("a", 2, 1, &[3, 25])).await.unwrap();
        store.add(&batch("b", 1, 1, &[])).await.unwrap();
        // Nor is one in a batch that is sent again.
        store.add(&batch("a", 1, 30, &(0..25).collect::<Vec<_>>())).await.unwrap();
        let asked = [coin(7).hash, "unknown".to_owned(), coin(25).hash];
        let snapshot = store.read(&asked).await.unwrap();
        let found: Vec<_> = snapshot.finds.iter().map(|find| find.hash.clone()).collect();
        assert_eq!(found, (16..=25).rev().map(|number| coin(number).hash).collect::<Vec<_>>());
        for find in &snapshot.finds {
            assert!((0.0..30.0).contains(&(snapshot.now - find.at)), "{find:?}");
        }
        let bytes = |number| Some(coin(number).bytes.to_vec());
        assert_eq!(snapshot.asked, [bytes(7), None, bytes(25)]);
        assert_eq!(snapshot.totals.coins, 26);
    }
}

#[tokio::test]
async fn workers_are_shown_until_they_leave_or_fall_silent() {
    for place in Place::all() {
        let store = place.open();
        let rng = Rng { name: "rng-1".to_owned(), lanes: 1 };
        let mut worker = Worker {
            host: "worker-1".to_owned(),
            hashes: u64::MAX,
            rngs: vec![rng],
            stages: StageTimes { pause: 0.25, network: 1e-9, ..StageTimes::default() },
            trouble: Some("rng:80: \"no\"\n".to_owned()),
            ..Worker::default()
        };
        store.announce("a", &Worker::default()).await.unwrap();
        store.announce("a", &worker).await.unwrap();
        store.announce("b", &Worker::default()).await.unwrap();
        let seen = store.read(&[]).await.unwrap().workers;
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].run.as_str(), &seen[0].worker), ("a", &worker));
        assert!((now() - seen[0].at).abs() < 30.0, "{:?}", seen[0]);

        store.leave("b").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        worker.hashes = 7;
        store.announce("c", &worker).await.unwrap();
        let runs = async || {
            let seen = store.read(&[]).await.unwrap().workers;
            seen.into_iter().map(|sighting| sighting.run).collect::<Vec<_>>()
        };
        assert_eq!(runs().await, ["a", "c"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(runs().await, ["c"]);
        store.announce("d", &worker).await.unwrap();
        if let Place::Redis(redis) = &place {
            let runs = redis.cli(&["HKEYS", "dockercoins:workers"]);
            assert_eq!(BTreeSet::from_iter(runs.lines()), BTreeSet::from(["c", "d"]));
            for key in ["dockercoins:workers", "dockercoins:workers:seen"] {
                let seconds: i64 = redis.cli(&["TTL", key]).parse().unwrap();
                assert!((1..=5).contains(&seconds), "{key} expires in {seconds} s");
            }
        }
    }
}

#[tokio::test]
async fn what_others_say_of_workers_and_coins_does_no_harm() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    store.announce("a", &Worker::default()).await.unwrap();
    redis.cli(&["HSET", "dockercoins:workers", "b", "no JSON", "c", r#"{"later": 1}"#]);
    let far = (now() + 60.0).to_string();
    redis.cli(&["ZADD", "dockercoins:workers:seen", &far, "b", &far, "c", &far, "d"]);
    redis.cli(&["LPUSH", "dockercoins:coins", "nonsense", "hash nonsense"]);
    let snapshot = store.read(&[]).await.unwrap();
    let runs: Vec<_> = snapshot.workers.iter().map(|sighting| sighting.run.as_str()).collect();
    assert_eq!((runs, snapshot.finds.len()), (vec!["a", "c"], 0));
}
