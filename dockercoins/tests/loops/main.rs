//! The worker's loops with rng and hasher in the same process, in each connection mode.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod allocations;
mod fairness;
mod pool;
mod stop;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use chassis::{HttpMetrics, Limits, Shutdown};
use http::{Request, Response};
use store::Store;
use tokio::task;
use worker::{
    Client, ConnectionMode, Metrics, Peer, RequestError, Settings, Stats, Transport, Worker,
};

/// All connection modes.
const MODES: [ConnectionMode; 3] =
    [ConnectionMode::PerRequest, ConnectionMode::KeepAlive, ConnectionMode::Http2];

/// The simulated delays of rng and hasher.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    rng: Duration,
    hasher: Duration,
}

/// The number of requests of each task; each loop is a task.
type Requests = Arc<Mutex<HashMap<task::Id, u64>>>;

/// A transport that counts the requests of each task.
struct Counted(Client, Requests);

impl Transport for Counted {
    fn send(
        &self,
        peer: Peer,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, RequestError>> + Send {
        *self.1.lock().unwrap().entry(task::id()).or_default() += 1;
        self.0.send(peer, request, limit)
    }
}

/// A worker that finds almost no coins, with a new rng and a new hasher in this runtime.
fn worker<T: Transport>(
    settings: Settings,
    delays: Delays,
    shutdown: &Shutdown,
    transport: impl FnOnce(Client) -> T,
) -> Arc<Worker<T>> {
    let rng = rng::Settings { delay: delays.rng, ..chassis::defaults() };
    let router =
        |end: &Shutdown| rng::router(&rng, "rng".into(), rng::Metrics::default(), end.stop.clone());
    let rng = serve(router, shutdown);
    let hasher = hasher::Settings { delay: delays.hasher, ..chassis::defaults() };
    let hasher = serve(|end| hasher::router(&hasher, end.stop.clone()), shutdown);
    let settings = Settings {
        rng_url: format!("http://{rng}/").parse().unwrap(),
        hasher_url: format!("http://{hasher}/").parse().unwrap(),
        coin_prefix: "00000000".to_owned(),
        ..settings
    };
    let metrics = Metrics::default();
    let client = Client::new(&settings, Arc::new(|_| None), &metrics).unwrap();
    let stats = Stats::new(String::new(), String::new(), metrics);
    Worker::new(settings, transport(client), Store::memory().unwrap(), stats).unwrap()
}

fn serve(router: impl FnOnce(&Shutdown) -> Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = chassis::listen("LISTEN", testkit::any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    let (router, limits) = (router(shutdown), Limits::default());
    let metrics = HttpMetrics::default();
    task::spawn(chassis::serve(listener, router, metrics, limits, shutdown.clone()));
    address
}
