//! The rate of the whole system in simulated time, without sockets: ten minutes each for 1 to
//! 20 workers and 1 to 3 rngs.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use store::Store;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use worker::{ErrorKind, Peer, RequestError, Transport, Worker};

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// A transport that calls the routers directly, with a random rng for each request, as in a
/// container network.
#[derive(Clone)]
struct Routers {
    rngs: Vec<(Router, Arc<AtomicU64>)>,
    hasher: Router,
}

impl Routers {
    fn new(rngs: usize) -> Self {
        let stop = CancellationToken::new();
        let rng = || {
            rng::router(&chassis::defaults(), "rng".into(), rng::Metrics::default(), stop.clone())
        };
        Self {
            rngs: (0..rngs).map(|_| (rng(), Arc::default())).collect(),
            hasher: hasher::router(&chassis::defaults(), stop.clone()),
        }
    }

    fn served_by_rngs(&self) -> Vec<u64> {
        self.rngs.iter().map(|(_, served)| served.load(Ordering::Relaxed)).collect()
    }
}

impl Transport for Routers {
    async fn send(
        &self,
        peer: Peer,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        let request = request.map(Body::from);
        let Ok(response) = match peer {
            Peer::Hasher => self.hasher.clone().oneshot(request).await,
            Peer::Rng => {
                let (router, served) = self.rngs.choose(&mut rand::rng()).unwrap();
                let response = router.clone().oneshot(request).await;
                served.fetch_add(1, Ordering::Relaxed);
                response
            }
        };
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, limit).await;
        let body =
            body.map_err(|error| RequestError::new(peer, ErrorKind::Other, error.to_string()))?;
        Ok(Response::from_parts(parts, body))
    }
}

/// Runs the real services and workers for ten minutes of simulated time; returns the requests per
/// second of each rng.
fn simulate(workers: usize, rngs: usize) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let routers = Routers::new(rngs);
        let store = Store::memory().unwrap();
        let stop = CancellationToken::new();
        let started = (0..workers).map(|_| {
            let worker =
                Worker::new(chassis::defaults(), routers.clone(), store.clone(), crate::stats())
                    .unwrap();
            tokio::spawn(worker.clone().run(stop.clone(), Duration::from_secs(8)));
            worker
        });
        let started: Vec<_> = started.collect();
        tokio::time::sleep(TEN_MINUTES).await;
        let served = routers.served_by_rngs();
        stop.cancel();
        // In this time, which is simulated too, all workers finish.
        tokio::time::sleep(Duration::from_secs(10)).await;

        let totals: Vec<_> = started.iter().map(|worker| worker.totals()).collect();
        let hashes: u64 = totals.iter().map(|totals| totals.hashes).sum();
        let coins: u64 = totals.iter().map(|totals| totals.coins).sum();
        let stored = store.read().await.unwrap().totals;
        assert_eq!(stored.hashes, Some(hashes.to_string()), "every unit of work is counted once");
        assert_eq!(stored.coins, Some(coins), "every coin is in the wallet");
        served.iter().map(|&served| served as f64 / TEN_MINUTES.as_secs_f64()).collect()
    })
}

/// A model of the same system: each worker pauses and hashes for 0.2 s, and then waits in the queue
/// of a random rng, which serves one request at a time for 0.1 s.
fn model(workers: usize, rngs: usize) -> f64 {
    let mut random = StdRng::seed_from_u64(1);
    // A duration so long that the noise of the model is negligible.
    let end = 20_000_000_u64;
    let mut free_at = vec![0_u64; rngs];
    let mut arrivals: BinaryHeap<_> = (0..workers).map(|_| Reverse(100)).collect();
    let mut served = 0;
    while let Some(Reverse(arrival)) = arrivals.pop().filter(|arrival| arrival.0 < end) {
        let rng = random.random_range(0..rngs);
        free_at[rng] = free_at[rng].max(arrival) + 100;
        served += 1;
        arrivals.push(Reverse(free_at[rng] + 200));
    }
    served as f64 * 1000.0 / end as f64
}

fn assert_pace(workers: usize, rngs: usize, tolerance: f64) {
    let rates = simulate(workers, rngs);
    let rate: f64 = rates.iter().sum();
    let expected = match rngs {
        1 => (workers as f64 / 0.3).min(10.0),
        _ => model(workers, rngs),
    };
    assert!(
        (rate / expected - 1.0).abs() < tolerance,
        "{workers} workers and {rngs} rngs reach {rate:.2}/s instead of {expected:.2}/s"
    );
    for rate in rates {
        assert!(rate <= 10.01, "one rng gave {rate:.2}/s with {workers} workers");
    }
}

fn assert_pace_of_all(rngs: usize, tolerance: f64) {
    // Two threads, because simulated time takes CPU time.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..=20).step_by(2).for_each(|workers| assert_pace(workers, rngs, tolerance))
        });
        (2..=20).step_by(2).for_each(|workers| assert_pace(workers, rngs, tolerance));
    });
}

#[test]
fn one_rng_is_the_bottleneck_from_three_workers_on() {
    assert_pace_of_all(1, 0.005);
}

#[test]
fn two_rngs_behind_one_name_double_the_ceiling() {
    assert_pace_of_all(2, 0.03);
}

#[test]
fn three_rngs_behind_one_name_triple_the_ceiling() {
    assert_pace_of_all(3, 0.03);
}

#[test]
fn the_model_gives_the_figures_of_the_course() {
    for (workers, rate) in [(4, 12.3), (6, 16.0), (10, 18.3), (20, 19.3)] {
        let modelled = model(workers, 2);
        let error = modelled / rate - 1.0;
        assert!(error.abs() < 0.02, "{workers} workers: {modelled:.2} is not near {rate}");
    }
}
