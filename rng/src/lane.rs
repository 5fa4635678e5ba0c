//! The lane: requests are worked on one at a time, in the order in which they came.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use chassis::{Present, Served, ServerTiming, trace};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Metrics, Settings};

/// The lane, or as many side by side as the setting says.
pub(crate) struct Lane {
    free: Semaphore,
    served_by: HeaderValue,
    delay: Duration,
    metrics: Metrics,
    stop: CancellationToken,
}

/// How long a request slept on purpose; travels in the answer's extensions.
#[derive(Clone, Copy)]
pub(crate) struct Delayed(Duration);

impl Lane {
    pub(crate) fn new(
        settings: &Settings,
        name: String,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let lanes = settings.lanes.get();
        metrics.lanes.inc_by(lanes.into());
        let served_by = Served { by: name, lanes }.header();
        let free = Semaphore::new(lanes.into());
        Self { free, served_by, delay: settings.delay, metrics, stop }
    }

    /// Sleeps for the simulated delay, less when the service stops.
    pub(crate) async fn delay(&self) -> Extension<Delayed> {
        let delay = chassis::simulate(self.delay, &self.stop);
        Extension(Delayed(trace::span("delay", delay).await))
    }
}

/// Lets a request wait for its turn. The lane is free again when the answer is ready, before it is
/// sent, so a slow reader holds nobody up.
pub(crate) async fn queue(State(lane): State<Arc<Lane>>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let _place = Present::new(&lane.metrics.queue_depth);
    let _turn = trace::span("queue", lane.free.acquire()).await;
    let started = Instant::now();
    let mut response = next.run(request).await;
    let delay = response.extensions().get::<Delayed>().map_or(Duration::ZERO, |delayed| delayed.0);
    let timing = ServerTiming {
        queue: started - arrived,
        delay,
        work: started.elapsed().saturating_sub(delay),
    };
    lane.metrics.queue_wait.observe(timing.queue.as_secs_f64());
    timing.add_to(&mut response);
    response.headers_mut().insert("served-by", lane.served_by.clone());
    response
}
