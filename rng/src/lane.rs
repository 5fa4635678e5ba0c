//! The lane: requests are worked on one at a time, in the order in which they came.

use std::{num::NonZero, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use chassis::ServerTiming;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// The lane, or as many side by side as the setting says.
pub(crate) struct Lane {
    free: Semaphore,
    delay: Duration,
    metrics: Metrics,
    stop: CancellationToken,
}

/// How long a request slept on purpose; travels in the answer's extensions.
#[derive(Clone, Copy)]
pub(crate) struct Delayed(Duration);

impl Lane {
    pub(crate) fn new(
        lanes: NonZero<u16>,
        delay: Duration,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self { free: Semaphore::new(lanes.get().into()), delay, metrics, stop }
    }

    /// Sleeps for the simulated delay, less when the service stops.
    pub(crate) async fn delay(&self) -> Extension<Delayed> {
        Extension(Delayed(chassis::simulate(self.delay, &self.stop).await))
    }
}

/// Lets a request wait for its turn. The lane is free again when the answer is ready, before it is
/// sent, so a slow reader holds nobody up.
pub(crate) async fn queue(State(lane): State<Arc<Lane>>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let _place = lane.metrics.enter_queue();
    let _turn = lane.free.acquire().await;
    let started = Instant::now();
    let mut response = next.run(request).await;
    let delay = response.extensions().get::<Delayed>().map_or(Duration::ZERO, |delayed| delayed.0);
    let timing = ServerTiming {
        queue: started - arrived,
        delay,
        work: started.elapsed().saturating_sub(delay),
    };
    timing.add_to(&mut response);
    response
}
