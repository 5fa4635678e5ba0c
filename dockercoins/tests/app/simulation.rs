//! The pace of the whole system under a paused clock, without a socket: ten minutes each for 1 to
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

use anyhow::Result;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use store::Store;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use worker::{Peers, Worker};

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Requests go straight into the routers; each one to any of the rngs, as in a container network.
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

impl Peers for Routers {
    async fn send(&self, request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>> {
        let request = request.map(Body::from);
        let response = match request.uri().host() {
            Some("hasher") => self.hasher.clone().oneshot(request).await?,
            _ => {
                let (router, served) = self.rngs.choose(&mut rand::rng()).unwrap();
                let response = router.clone().oneshot(request).await?;
                served.fetch_add(1, Ordering::Relaxed);
                response
            }
        };
        let (parts, body) = response.into_parts();
        Ok(Response::from_parts(parts, axum::body::to_bytes(body, limit).await?))
    }
}

/// Runs the real services and workers for ten minutes of simulated time and returns the rate at
/// each rng, per second.
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
                Worker::new(chassis::defaults(), routers.clone(), store.clone(), crate::insight())
                    .unwrap();
            tokio::spawn(worker.clone().run(stop.clone(), Duration::from_secs(8)));
            worker
        });
        let started: Vec<_> = started.collect();
        tokio::time::sleep(TEN_MINUTES).await;
        let served = routers.served_by_rngs();
        stop.cancel();
        // Simulated time, too: everybody has finished long before.
        tokio::time::sleep(Duration::from_secs(10)).await;

        let totals: Vec<_> = started.iter().map(|worker| worker.total()).collect();
        let (hashes, coins) = totals.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let stored = store.totals().await.unwrap();
        assert_eq!(stored.hashes, Some(hashes.to_string()), "every unit of work is counted once");
        assert_eq!(stored.coins, coins, "every coin is in the wallet");
        served.iter().map(|&served| served as f64 / TEN_MINUTES.as_secs_f64()).collect()
    })
}

/// The same system on paper: workers that pause and hash for 0.2 s, then wait in the queue of a
/// random rng that serves one at a time for 0.1 s.
fn model(workers: usize, rngs: usize) -> f64 {
    let mut random = StdRng::seed_from_u64(1);
    // Long enough that the model itself adds no noise.
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
    // Two threads, because simulated time still costs real computing.
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
        let off = modelled / rate - 1.0;
        assert!(off.abs() < 0.02, "{workers} workers: {modelled:.2} is not near {rate}");
    }
}
