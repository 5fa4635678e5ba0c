//! What webui answers over real sockets, with a real redis and without one.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, reason = "each crate needs a part of it")]
#[path = "../../chassis/tests/service/mod.rs"]
mod service;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use axum::{body::Body, extract::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{Limits, defaults};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Batch, Coin, Store};
use testkit::{Redis, http, http::Answer};
use tower::ServiceExt;

use crate::service::{Service, ask, header};

const PATIENCE: Duration = Duration::from_secs(10);

fn start_with(settings: &webui::Settings, store: impl FnOnce() -> Store) -> Service {
    Service::start(Limits::default(), |stop| webui::router(settings, store(), stop).unwrap())
}

fn start(store: Store) -> Service {
    start_with(&defaults(), || store)
}

fn start_on(url: &str) -> Service {
    let url = url.parse().unwrap();
    // A client of redis is made within a runtime.
    start_with(&defaults(), || Store::redis(&url).unwrap())
}

fn memory() -> Store {
    Store::memory().unwrap()
}

fn start_with_files(folder: &Path) -> Service {
    start_with(&webui::Settings { files: Some(folder.to_owned()) }, memory)
}

fn get(service: &Service, path: &str) -> Answer {
    http::get(service.address, path)
}

fn json(service: &Service) -> Value {
    let answer = get(service, "/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn add(store: &Store, hashes: u64) {
    let coin = Coin { hash: "0".repeat(64), bytes: [7; 32] };
    let batch = Batch { run: "test".to_owned(), sequence: 1, hashes, coins: vec![coin] };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.add(&batch)).unwrap();
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Asks until the answer is right. Panics after `patience`.
fn eventually(patience: Duration, what: &str, is_right: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_right() {
        assert!(Instant::now() < deadline, "{what} not within {patience:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

// The counters.

#[test]
fn json_tells_coins_hashes_and_when_they_were_read() {
    let store = memory();
    let before = now();
    let service = start(store.clone());
    let answer = get(&service, "/json");
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let text = answer.text();
    assert!(text.starts_with(r#"{"coins":0,"hashes":null,"now":"#), "{text}");
    let read = json(&service)["now"].as_f64().unwrap();
    assert!(before <= read && read <= now(), "{text}");
    assert!(text.split_once("now\":").unwrap().1.contains('.'), "no fraction: {text}");

    add(&store, 42);
    eventually(PATIENCE, "the new count", || {
        get(&service, "/json").text().starts_with(r#"{"coins":1,"hashes":"42","now":"#)
    });
}

#[test]
fn json_reads_what_is_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let first = json(&service);
    assert_eq!((&first["coins"], &first["hashes"]), (&0.into(), &Value::Null));
    // More than a number in JavaScript can hold.
    redis.cli(&["SET", "hashes", "9007199254740993"]);
    redis.cli(&["HSET", "wallet", "01", "bytes", "02", "bytes"]);
    eventually(PATIENCE, "the new count", || {
        let reading = json(&service);
        (&reading["coins"], &reading["hashes"]) == (&2.into(), &"9007199254740993".into())
    });
}

#[test]
fn a_reading_is_never_older_than_half_a_second() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    let started = Instant::now();
    let mut readings = Vec::new();
    while started.elapsed() < Duration::from_millis(1500) {
        let asked = now();
        let read = json(&service)["now"].as_f64().unwrap();
        assert!(asked - read <= 0.5, "{} s old", asked - read);
        readings.push(read);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(readings.is_sorted());

    for count in ["1", "2", "3"] {
        redis.cli(&["SET", "hashes", count]);
        thread::sleep(Duration::from_millis(600));
        assert_eq!(json(&service)["hashes"], count);
    }
}

#[test]
fn redis_is_read_three_times_a_second_at_most_whoever_asks_and_leaves() {
    let Some(redis) = Redis::start() else { return };
    let service = start_on(&redis.url());
    json(&service);
    let (started, before) = (Instant::now(), reads(&redis));
    let address = service.address;
    let in_time = || started.elapsed() < Duration::from_secs(2);
    let asked: usize = thread::scope(|scope| {
        let patient =
            || while_asking(in_time, || assert_eq!(http::get(address, "/json").status, 200));
        let hasty = || while_asking(in_time, || drop(http::ask(address, "GET /json", b"")));
        let page = || while_asking(in_time, || drop(http::get(address, "/index.html")));
        let mut askers: Vec<_> = (0..20).map(|_| scope.spawn(patient)).collect();
        askers.extend((0..10).map(|_| scope.spawn(hasty)));
        askers.push(scope.spawn(page));
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    let made = f64::from(reads(&redis) - before);
    let most = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(made <= most, "{made} readings, {most} allowed");
    assert!(made >= 3.0, "{made} readings for two seconds");
    assert!(asked > 100, "only {asked} asked");
}

#[test]
fn askers_that_leave_before_the_answer_make_redis_work_no_more() {
    let Some(redis) = Redis::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = {
        let _entered = runtime.enter();
        let store = Store::redis(&redis.url().parse().unwrap()).unwrap();
        webui::router(&defaults(), store, Default::default()).unwrap()
    };
    let ask = || router.clone().oneshot(Request::get("/json").body(Body::empty()).unwrap());
    assert_eq!(runtime.block_on(ask()).unwrap().status(), 200);

    let (started, before) = (Instant::now(), reads(&redis));
    let id = process_id(&redis);
    signal("STOP", &id);
    runtime.block_on(async {
        while started.elapsed() < Duration::from_secs(2) {
            // In process, because a server need not notice that a client has left.
            let _ = tokio::time::timeout(Duration::from_millis(10), ask()).await;
        }
    });
    signal("CONT", &id);
    let made = f64::from(reads(&redis) - before);
    let most = 3.0 * started.elapsed().as_secs_f64() + 1.0;
    assert!(made >= 1.0 && made <= most, "{made} readings, {most} allowed");
}

/// How often redis has been asked for the coins.
fn reads(redis: &Redis) -> u32 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = stats.split_once("cmdstat_hlen:calls=").and_then(|(_, rest)| rest.split_once(','));
    calls.unwrap().0.parse().unwrap()
}

/// Does something again and again, and says how often.
fn while_asking(in_time: impl Fn() -> bool, ask: impl Fn()) -> usize {
    let mut asked = 0;
    while in_time() {
        ask();
        asked += 1;
        thread::sleep(Duration::from_millis(10));
    }
    asked
}

// Without redis.

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

fn process_id(redis: &Redis) -> String {
    let info = redis.cli(&["INFO", "server"]);
    let id = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    id.unwrap().trim().to_owned()
}

fn signal(name: &str, id: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
    assert!(status.unwrap().success());
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

// The page.

#[test]
fn the_root_leads_to_the_page_behind_any_prefix() {
    let answer = get(&start(memory()), "/");
    assert_eq!((answer.status, header(&answer, "location")), (302, Some("index.html")));
}

#[test]
fn every_url_is_relative_and_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let page = get(&service, "/index.html").text();
    let script = get(&service, "/dashboard.js").text();
    let fragment = get(&service, "/fragment").text();

    let mut urls = Vec::new();
    for text in [&page, &script, &fragment] {
        for absolute in ["://", "=\"/", "='/", "=/", "(\"/", "('/", "(/", "`/", "url("] {
            assert!(!text.contains(absolute), "{absolute} in {text}");
        }
        for before in ["href=\"", "src=\"", "fetch(\""] {
            let after = text.split(before).skip(1);
            urls.extend(after.map(|rest| rest.split('"').next().unwrap()));
        }
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls, ["dashboard.js", "favicon.svg", "fragment"]);
    for url in urls {
        assert_eq!(get(&service, &format!("/{url}")).status, 200, "{url}");
    }
}

#[test]
fn the_page_shows_the_counters() {
    let store = memory();
    add(&store, 4242);
    let service = start(store);
    eventually(PATIENCE, "the count", || {
        get(&service, "/fragment").text().contains("<dd>4,242</dd>")
    });
    let page = get(&service, "/index.html");
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<dd>4,242</dd>"));
    assert!(!page.text().contains("<!-- dashboard -->"));
    let head = ask(service.address, "HEAD", "/index.html");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn every_answer_is_safe_to_show() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    for (path, content_type) in [
        ("/index.html", "text/html; charset=utf-8"),
        ("/fragment", "text/html; charset=utf-8"),
        ("/json", "application/json"),
        ("/dashboard.js", "text/javascript"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let answer = get(&service, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(header(&answer, "content-type"), Some(content_type), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header(&answer, "cache-control"), Some("no-cache"), "{path}");
    }
    assert_eq!(get(&service, "/nowhere").status, 404);
}

#[test]
fn the_policy_allows_the_style_of_the_page_as_served() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let mut policies = Vec::new();
    for label in ["15px", "50px"] {
        let page = include_str!("../files/index.html").replace("15px", label);
        fs::write(folder.path().join("index.html"), page).unwrap();
        let page = get(&service, "/index.html");
        let text = page.text();
        let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(style.contains(label));
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        let policy = header(&page, "content-security-policy").unwrap();
        assert!(policy.contains(&format!("style-src 'self' 'sha256-{hash}'")), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        policies.push(policy.to_owned());
    }
    assert_ne!(policies[0], policies[1]);
}

#[test]
fn a_change_in_the_folder_shows_on_reload() {
    let folder = tempfile::tempdir().unwrap();
    let service = start_with_files(folder.path());
    let file = |name: &str| folder.path().join(name);
    let built_in = get(&service, "/index.html").text();
    assert!(built_in.contains("15px") && built_in.contains("steelblue"));

    fs::write(file("index.html"), "<h1>mine</h1><!-- dashboard -->").unwrap();
    let mine = get(&service, "/index.html").text();
    assert!(mine.starts_with("<h1>mine</h1>") && mine.contains("Hashes"), "{mine}");
    fs::write(file("index.html"), "<h1>yours</h1>").unwrap();
    assert_eq!(get(&service, "/index.html").text(), "<h1>yours</h1>");

    fs::write(file("favicon.svg"), "<svg/>").unwrap();
    assert_eq!(get(&service, "/favicon.svg").text(), "<svg/>");
    fs::write(file("extra.css"), "a{}").unwrap();
    let extra = get(&service, "/extra.css");
    assert_eq!((extra.text().as_str(), header(&extra, "content-type")), ("a{}", Some("text/css")));
    // What the folder lacks is still in the binary.
    assert!(get(&service, "/dashboard.js").text().contains("fetch("));

    fs::remove_file(file("index.html")).unwrap();
    assert!(get(&service, "/index.html").text().contains("15px"));
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("secret"), "secret").unwrap();
    let folder = parent.path().join("files");
    fs::create_dir(&folder).unwrap();
    let service = start_with_files(&folder);
    let absolute = format!("/{}", parent.path().join("secret").display());
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/x/../../secret", &absolute] {
        let answer = get(&service, path);
        assert_eq!((answer.status, answer.text().contains("secret")), (404, false), "{path}");
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error_that_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let settings = webui::Settings { files: Some(missing.clone()) };
    let error = webui::router(&settings, memory(), Default::default()).unwrap_err().to_string();
    assert!(error.contains("FILES") && error.contains(missing.to_str().unwrap()), "{error}");
    assert!(error.contains("right would be") && !error.contains('\n'), "{error}");
}
