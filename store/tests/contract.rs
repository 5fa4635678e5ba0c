//! Tests of all stores, then tests of one kind of store.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prometheus_client::registry::Registry;
use store::{
    Batch, Coin, HISTORY, Heartbeat, Part, RedisUrl, Rng, Stage, StageTimes, Store, Totals,
};
use tempfile::TempDir;
use testkit::Redis;
use tokio::task::JoinSet;

/// Where a store keeps its data.
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

/// A coin that is different for each number, with bytes that are not text.
fn coin(number: u64) -> Coin {
    let mut bytes = [0xff; 32];
    bytes[..4].copy_from_slice(b"\0\n\r\x80");
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Coin { hash: format!("{number:064x}"), bytes }
}

fn batch(run: &str, sequence: u64, hashes: u64, coins: &[u64]) -> Arc<Batch> {
    let coins = coins.iter().map(|&number| coin(number)).collect();
    Batch { run: run.to_owned(), sequence, hashes, coins }.into()
}

async fn totals(store: &Store) -> anyhow::Result<Totals> {
    Ok(store.read().await?.totals)
}

async fn assert_totals(store: &Store, coins: u64, hashes: &str) {
    let hashes = Some(hashes.to_owned());
    assert_eq!(totals(store).await.unwrap(), Totals { coins: Some(coins), hashes });
}

#[tokio::test]
async fn hashes_are_none_before_the_first_batch_and_zero_after_an_empty_one() {
    for place in Place::all() {
        let store = place.open();
        assert_eq!(totals(&store).await.unwrap(), Totals { coins: Some(0), hashes: None });
        assert!(store.add(&batch("a", 1, 0, &[])).await.unwrap().is_empty());
        assert_totals(&store, 0, "0").await;
    }
}

#[tokio::test]
async fn batches_of_one_run_and_of_several_runs_add_up() {
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
async fn a_batch_sent_twice_counts_once() {
    for place in Place::all() {
        let store = place.open();
        let (first, second) = (batch("a", 1, 5, &[1]), batch("a", 2, 7, &[2]));
        for _ in 0..3 {
            assert!(store.add(&first).await.unwrap().is_empty());
        }
        assert_totals(&store, 1, "5").await;
        // Another run uses the same numbers in between.
        store.add(&batch("b", 1, 100, &[3])).await.unwrap();
        store.add(&second).await.unwrap();
        store.add(&batch("b", 2, 1000, &[4])).await.unwrap();
        assert!(store.add(&second).await.unwrap().is_empty());
        assert_totals(&store, 4, "1112").await;
    }
}

#[tokio::test]
async fn a_batch_repeated_after_later_batches_counts_once() {
    for place in Place::all() {
        let store = place.open();
        // As text, 10 would sort before 9.
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
async fn coins_already_in_the_wallet_are_returned_and_stored_once() {
    for place in Place::all() {
        let store = place.open();
        store.add(&batch("a", 1, 1, &[1, 2])).await.unwrap();
        let known = store.add(&batch("b", 1, 1, &[2, 3, 1])).await.unwrap();
        assert_eq!(known, [coin(2).hash, coin(1).hash]);
        assert_totals(&store, 3, "2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_adds_are_exact() {
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
async fn the_counters_survive_a_crash_of_redis_and_the_end_of_a_process_with_a_file() {
    for mut place in Place::all() {
        let mut store = place.open();
        store.add(&batch("a", 1, 5, &[1])).await.unwrap();
        match &mut place {
            Place::Redis(redis) => {
                redis.kill();
                assert!(totals(&store).await.is_err());
                assert!(store.add(&batch("a", 2, 7, &[2])).await.is_err());
                redis.start_again();
                // The number of the batch survives the crash as well.
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
async fn redis_contains_the_keys_of_the_contract_and_no_others() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    store.add(&batch("a", 1, 5, &[1])).await.unwrap();
    store.add(&batch("b", 9, 2, &[])).await.unwrap();
    let keys = redis.cli(&["KEYS", "*"]);
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort();
    let ours = ["dockercoins:coins", "dockercoins:flush:a", "dockercoins:flush:b"];
    assert_eq!(keys, [&ours[..], &["dockercoins:hashes", "hashes", "wallet"]].concat());
    assert_eq!(redis.cli(&["GET", "dockercoins:hashes"]), "7");
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
async fn the_store_survives_closed_connections_and_lost_scripts_and_data() {
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
    assert_eq!(totals(&store).await.unwrap(), Totals { coins: Some(0), hashes: None });
    store.add(&batch("a", 12, 1, &[1])).await.unwrap();
    assert_totals(&store, 1, "1").await;
}

#[tokio::test]
async fn a_key_of_another_type_is_an_error_and_counts_nothing_until_it_is_deleted() {
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
        let kind = if bad == "wallet" { "a hash" } else { "a string" };
        assert_eq!(store.read().await.unwrap().problems, [format!("{bad} is not {kind}")]);
        redis.cli(&["DEL", bad]);
        for _ in 0..2 {
            assert!(store.add(&batch).await.unwrap().is_empty());
        }
        assert_totals(&store, 1, "5").await;
    }
}

#[tokio::test]
async fn the_password_of_the_url_is_used_and_never_shown() {
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
fn a_redis_url_displays_host_and_port_only() {
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
async fn a_redis_that_does_not_respond_times_out() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = silent.local_addr().unwrap().to_string();
    let store = Store::redis(&format!("redis://{name}").parse::<RedisUrl>().unwrap()).unwrap();
    let totals = tokio::time::timeout(Duration::from_secs(15), totals(&store)).await;
    let error = totals.expect("a timeout of the store").unwrap_err().to_string();
    assert!(error.starts_with(&name), "{error}");
}

#[test]
fn a_file_that_is_open_or_cannot_be_created_is_a_clear_error() {
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
async fn recent_coins_are_listed_newest_first_and_every_coin_can_be_read() {
    for place in Place::all() {
        let store = place.open();
        store.add(&batch("a", 1, 30, &(0..25).collect::<Vec<_>>())).await.unwrap();
        // A coin that is in the wallet already is not added to the recent ones.
        store.add(&batch("a", 2, 1, &[3, 25])).await.unwrap();
        store.add(&batch("b", 1, 1, &[])).await.unwrap();
        // Neither are the coins of a batch that is sent twice.
        store.add(&batch("a", 1, 30, &(0..25).collect::<Vec<_>>())).await.unwrap();
        let snapshot = store.read().await.unwrap();
        let found: Vec<_> = snapshot.recent_coins.iter().map(|coin| coin.hash.clone()).collect();
        assert_eq!(found, (16..=25).rev().map(|number| coin(number).hash).collect::<Vec<_>>());
        for coin in &snapshot.recent_coins {
            assert!((0.0..30.0).contains(&(snapshot.now - coin.at)), "{coin:?}");
        }
        for number in [7, 25] {
            let bytes = store.coin(&coin(number).hash).await.unwrap();
            assert_eq!(bytes, Some(coin(number).bytes.to_vec()));
        }
        assert_eq!(store.coin("unknown").await.unwrap(), None);
        assert_eq!(snapshot.totals.coins, Some(26));
    }
}

#[tokio::test]
async fn workers_are_alive_until_they_deregister_or_their_heartbeats_stop() {
    for place in Place::all() {
        let store = place.open();
        let rng = Rng { name: "rng-1".to_owned(), lanes: 1, delay: Some(0.1), ..Rng::default() };
        let mut stages = StageTimes::default();
        (stages[Stage::Pause], stages[Stage::Network]) = (0.25, 1e-9);
        let mut heartbeat = Heartbeat {
            host: "worker-1".to_owned(),
            hashes: u64::MAX,
            rngs: vec![rng],
            stages,
            last_error: Some("rng:80: \"no\"\n".to_owned()),
            failing_part: Some(Part::Rng),
            ..Heartbeat::default()
        };
        store.heartbeat("a", &Heartbeat::default()).await.unwrap();
        store.heartbeat("a", &heartbeat).await.unwrap();
        store.heartbeat("b", &Heartbeat::default()).await.unwrap();
        let workers = store.read().await.unwrap().workers.unwrap();
        assert_eq!(workers.len(), 2);
        assert_eq!((workers[0].run.as_str(), &workers[0].heartbeat), ("a", &heartbeat));
        assert!((now() - workers[0].at).abs() < 30.0, "{:?}", workers[0]);

        store.deregister("b").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        heartbeat.hashes = 7;
        store.heartbeat("c", &heartbeat).await.unwrap();
        let runs = async || {
            let workers = store.read().await.unwrap().workers.unwrap();
            workers.into_iter().map(|worker| worker.run).collect::<Vec<_>>()
        };
        assert_eq!(runs().await, ["a", "c"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(runs().await, ["c"]);
        store.heartbeat("d", &heartbeat).await.unwrap();
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

#[test]
fn a_heartbeat_is_json_with_a_field_per_stage() {
    let json = r#"{"pause":1.0,"rng_queue":2.0,"rng_delay":3.0,"hasher_delay":4.0,"work":5.0,"network":6.0,"redis":7.0,"unknown":8.0}"#;
    let stages: StageTimes = serde_json::from_str(json).unwrap();
    assert_eq!(Stage::ALL.map(|stage| stages[stage]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!(serde_json::to_string(&stages).unwrap(), json);
    for stage in Stage::ALL {
        assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{}\"", stage.name()));
    }
    let partial = r#"{"trouble": "no", "stages": {"work": 5, "later": ["unknown"]}, "later": 1}"#;
    let heartbeat: Heartbeat = serde_json::from_str(partial).unwrap();
    let mut stages = StageTimes::default();
    stages[Stage::Work] = 5.0;
    let last_error = Some("no".to_owned());
    assert_eq!(heartbeat, Heartbeat { last_error, stages, ..Heartbeat::default() });
}

#[tokio::test]
async fn what_others_wrote_is_skipped_and_named() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    store.add(&batch("a", 1, 5, &[1])).await.unwrap();
    store.heartbeat("a", &Heartbeat::default()).await.unwrap();
    redis.cli(&["HSET", "dockercoins:workers", "b", "no JSON", "c", r#"{"later": 1}"#]);
    redis.cli(&["EVAL", r"redis.call('HSET', 'dockercoins:workers', 'x', '\255')", "0"]);
    let far = (now() + 60.0).to_string();
    redis.cli(&["ZADD", "dockercoins:workers:seen", &far, "b", &far, "c", &far, "d"]);
    redis.cli(&["RPUSH", "dockercoins:coins", "nonsense", "hash nonsense", "hash nan"]);
    redis.cli(&["EVAL", r"redis.call('RPUSH', 'dockercoins:coins', '\255 1')", "0"]);
    redis.cli(&["SET", "hashes", "abc"]);
    let snapshot = store.read().await.unwrap();
    let runs: Vec<_> =
        snapshot.workers.iter().flatten().map(|worker| worker.run.as_str()).collect();
    assert_eq!((runs, snapshot.recent_coins.len()), (vec!["a", "c"], 1));
    assert_eq!((snapshot.totals.coins, snapshot.hashes()), (Some(1), None));
    assert_eq!(snapshot.totals.hashes.as_deref(), Some("abc"));
    let problems = [
        "2 entries of dockercoins:workers are unreadable",
        "4 entries of dockercoins:coins are unreadable",
        "hashes is not a number",
    ];
    assert_eq!(snapshot.problems, problems);

    for key in ["hashes", "wallet", "dockercoins:coins", "dockercoins:workers"] {
        redis.cli(&["DEL", key]);
        redis.cli(&["PFADD", key, "of another type"]);
    }
    let snapshot = store.read().await.unwrap();
    assert_eq!((snapshot.totals.coins, snapshot.hashes(), snapshot.workers), (None, None, None));
    let problems = [
        "wallet is not a hash",
        "dockercoins:coins is not a list",
        "dockercoins:workers is not a hash",
        "hashes is not a number",
    ];
    assert_eq!(BTreeSet::from_iter(snapshot.problems), problems.map(str::to_owned).into());
}

#[tokio::test]
async fn a_key_that_the_user_may_not_read_is_named() {
    let Some(redis) = Redis::start() else { return };
    redis.cli(&["ACL", "SETUSER", "viewer", "on", ">secret", "+@all", "~hashes", "~wallet"]);
    let store = connect(&redis.url().replace("redis://", "redis://viewer:secret@"));
    let snapshot = store.read().await.unwrap();
    assert_eq!(snapshot.totals, Totals { coins: Some(0), hashes: None });
    assert_eq!(snapshot.added, None);
    assert!(
        snapshot
            .problems
            .contains(&"the user of REDIS_URL may not read dockercoins:workers".to_owned()),
        "{:?}",
        snapshot.problems
    );
}

#[tokio::test]
async fn work_of_others_is_the_difference_of_two_counters() {
    for place in Place::all() {
        let store = place.open();
        assert_eq!(store.read().await.unwrap().added, Some(0));
        store.add(&batch("a", 1, 5, &[1])).await.unwrap();
        store.add(&batch("a", 1, 5, &[1])).await.unwrap();
        if let Place::Redis(redis) = &place {
            redis.cli(&["INCRBY", "hashes", "3"]);
            assert_eq!(store.read().await.unwrap().hashes(), Some(8));
        }
        assert_eq!(store.read().await.unwrap().added, Some(5));
    }
}

#[tokio::test]
async fn a_statistic_of_another_type_stops_no_work() {
    let Some(redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    redis.cli(&["LPUSH", "dockercoins:hashes", "something else"]);
    store.add(&batch("a", 1, 5, &[1])).await.unwrap();
    assert_totals(&store, 1, "5").await;
    assert_eq!(store.read().await.unwrap().added, None);
}

#[tokio::test]
async fn the_history_has_one_sample_for_each_second() {
    let kept = HISTORY.as_secs();
    for place in Place::all() {
        let store = place.open();
        assert_eq!(store.record(100_000, "first", 0).await.unwrap(), ["first"]);
        assert_eq!(store.record(100_000, "late", 0).await.unwrap(), ["first"]);
        assert_eq!(store.record(100_001, "second", 100_000).await.unwrap(), ["second"]);
        assert_eq!(store.record(100_003, "third", 0).await.unwrap(), ["first", "second", "third"]);
        assert!(store.record(100_003, "late", 100_003).await.unwrap().is_empty());
        // Old samples are removed, and later ones after the clock went back.
        assert_eq!(
            store.record(100_001 + kept, "new", 0).await.unwrap(),
            ["second", "third", "new"]
        );
        assert_eq!(store.record(100_002, "back", 0).await.unwrap(), ["second", "back", "third"]);
        assert_eq!(store.record(99_990, "far back", 0).await.unwrap(), ["far back"]);
        if let Place::Redis(redis) = &place {
            let seconds: u64 = redis.cli(&["TTL", "dockercoins:history"]).parse().unwrap();
            assert!((kept - 60..=kept).contains(&seconds), "{seconds}");
        }
    }
}

#[tokio::test]
async fn the_history_survives_the_end_of_a_process_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::file(&file_in(&folder)).unwrap();
    store.record(7, "sample", 0).await.unwrap();
    drop(store);
    let store = Store::file(&file_in(&folder)).unwrap();
    assert_eq!(store.record(8, "next", 0).await.unwrap(), ["sample", "next"]);
}

#[tokio::test]
async fn the_latency_of_each_operation_is_a_metric() {
    let Some(mut redis) = Redis::start() else { return };
    let store = connect(&redis.url());
    let mut registry = Registry::default();
    store.register(&mut registry);
    let store = store.with_timeout(Duration::from_secs(1)).unwrap();
    store.add(&batch("a", 1, 1, &[1])).await.unwrap();
    store.read().await.unwrap();
    store.coin(&coin(1).hash).await.unwrap();
    store.heartbeat("a", &Heartbeat::default()).await.unwrap();
    store.deregister("a").await.unwrap();
    redis.kill();
    store.read().await.unwrap_err();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for (operation, error) in [
        ("add", ""),
        ("read", ""),
        ("coin", ""),
        ("announce", ""),
        ("leave", ""),
        ("read", "error"),
    ] {
        let line = format!(
            "db_client_operation_duration_seconds_count{{db_system_name=\"redis\",\
             db_operation_name=\"{operation}\",error_type=\"{error}\"}} 1"
        );
        assert!(text.contains(&line), "{line} in {text}");
    }
}
