//! The rate of the application over real sockets. Every assertion also holds on a slow machine.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, middleware::Next};
use chassis::{HttpMetrics, Limits, Shutdown};
use dockercoins::App;
use store::Store;
use worker::{Client, Metrics, Worker};

struct Running {
    app: App,
    shutdown: Shutdown,
    data: tempfile::TempDir,
}

/// Starts the application with its default settings, but with free ports and a temporary file.
async fn start(workers: u16) -> Running {
    let data = tempfile::tempdir().unwrap();
    let mut settings: dockercoins::Settings = chassis::defaults();
    settings.workers = workers.try_into().unwrap();
    settings.data = Some(data.path().join("coins.redb"));
    settings.webui_port = 0;
    settings.rng_port = 0;
    settings.hasher_port = 0;
    settings.admin_port = 0;
    let shutdown = Shutdown::new(Duration::from_secs(8));
    let app = App::start(&settings, "test", &shutdown).await.unwrap();
    Running { app, shutdown, data }
}

impl Running {
    async fn stop(self) -> dockercoins::Summary {
        self.shutdown.begin();
        let summary = self.app.wait().await.unwrap();
        drop(self.data);
        summary
    }
}

async fn median_of_nine(mut request: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        request().await;
        times.push(start.elapsed());
    }
    times.sort();
    times[4]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_never_exceeds_its_maximum_rate() {
    let running = start(1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let summary = running.stop().await;
    let limit = summary.elapsed.as_secs_f64() / 0.3;
    assert!(summary.hashes >= 1, "no hash was mined");
    assert!(summary.hashes as f64 <= limit, "{} hashes in {:?}", summary.hashes, summary.elapsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_workers_queue_at_rng_but_not_at_hasher() {
    let running = start(10).await;
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    // After this time every worker is in the queue.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let send = async |method: reqwest::Method, address: SocketAddr| {
        let request = client.request(method, format!("http://{address}/"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    let rng = median_of_nine(async || send(reqwest::Method::HEAD, running.app.rngs[0]).await).await;
    let hasher =
        median_of_nine(async || send(reqwest::Method::GET, running.app.hasher).await).await;
    let summary = running.stop().await;

    assert!(rng > Duration::from_millis(500), "HEAD / takes {rng:?} at rng");
    assert!(hasher < rng / 2, "GET / takes {hasher:?} at hasher and {rng:?} at rng");
    let limit = summary.elapsed.as_secs_f64() * 10.0;
    assert!(summary.hashes as f64 <= limit, "{} hashes in {:?}", summary.hashes, summary.elapsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_addresses_of_a_name_are_used_within_the_first_second() {
    let shutdown = Shutdown::new(Duration::from_secs(8));
    let mut rngs = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let served = Arc::new(AtomicU64::new(0));
        let count = served.clone();
        let router = rng::router(
            &chassis::defaults(),
            "rng".into(),
            rng::Metrics::default(),
            shutdown.stop.clone(),
        )
        .layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            count.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        }));
        rngs.push((serve(address, router, &shutdown), served));
    }
    let hasher = hasher::router(&chassis::defaults(), shutdown.stop.clone());
    let hasher = serve("127.0.0.1:0", hasher, &shutdown);
    let addresses: Vec<_> = rngs.iter().map(|(address, _)| *address).collect();

    let mut settings: worker::Settings = chassis::defaults();
    // With thirty requests, the probability that one address gets none is one in half a billion.
    settings.concurrency = 30.try_into().unwrap();
    let resolver = Arc::new(move |name: &str| match name {
        "rng" => Some(addresses.clone()),
        _ => Some(vec![hasher]),
    });
    let client = Client::new(&settings, resolver, &Metrics::default()).unwrap();
    let worker = Worker::new(settings, client, Store::memory().unwrap(), crate::stats()).unwrap();
    let mining = tokio::spawn(worker.run(shutdown.stop.clone(), shutdown.timeout));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (address, served) in &rngs {
        assert!(served.load(Ordering::Relaxed) > 0, "no request to {address}");
    }
    shutdown.begin();
    mining.await.unwrap();
}

fn serve(address: &str, router: Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = chassis::listen("test", address.parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(chassis::serve(
        listener,
        router,
        HttpMetrics::default(),
        Limits::default(),
        shutdown.clone(),
    ));
    address
}
