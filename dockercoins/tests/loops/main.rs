//! The worker's loops with rng and hasher in the same process, over each kind of connection.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod allocations;
mod fairness;
mod stop;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use axum::Router;
use bytes::Bytes;
use chassis::{Limits, Shutdown};
use http::{Request, Response};
use store::Store;
use tokio::task;
use worker::{Connections, Http, Insight, Metrics, Peers, Settings, Worker};

/// All kinds of connections.
const KINDS: [Connections; 3] =
    [Connections::PerRequest, Connections::KeepAlive, Connections::Http2];

/// How long rng and hasher simulate work.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    rng: Duration,
    hasher: Duration,
}

/// Requests by the task that sent them, which is a loop's.
type Requests = Arc<Mutex<HashMap<task::Id, u64>>>;

/// The peers, and who asked them how often.
struct Counted(Http, Requests);

impl Peers for Counted {
    fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>>> + Send {
        *self.1.lock().unwrap().entry(task::id()).or_default() += 1;
        self.0.send(request, limit)
    }
}

/// A worker that finds hardly a coin, and reaches a new rng and a new hasher in this runtime.
fn worker<P: Peers>(
    settings: Settings,
    delays: Delays,
    shutdown: &Shutdown,
    peers: impl FnOnce(Http) -> P,
) -> Arc<Worker<P>> {
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
    let peers = peers(Http::new(&settings, Arc::new(|_| None)).unwrap());
    let insight = Insight::new(String::new(), String::new(), Metrics::default());
    Worker::new(settings, peers, Store::memory().unwrap(), insight).unwrap()
}

fn serve(router: impl FnOnce(&Shutdown) -> Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = chassis::listen("LISTEN", testkit::anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let (router, limits) = (router(shutdown), Limits::default());
    let http = chassis::Http::default();
    task::spawn(chassis::serve(listener, router, http, limits, shutdown.clone()));
    address
}
