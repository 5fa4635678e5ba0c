//! The lane: requests are worked on one at a time, in order of arrival.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use chassis::{GaugeGuard, ServedBy, ServerTiming, trace};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Metrics, Settings};

/// One lane, or as many as the setting `LANES`.
pub(crate) struct Lane {
    free: Semaphore,
    served_by: HeaderValue,
    pub(crate) settings: Settings,
    metrics: Metrics,
    stop: CancellationToken,
}

/// How long a request slept on purpose; an extension of its response.
#[derive(Clone, Copy)]
pub(crate) struct Delayed(Duration);

impl Lane {
    pub(crate) fn new(
        settings: Settings,
        host: String,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let lanes = settings.lanes.get();
        metrics.lanes.inc_by(lanes.into());
        let delay = Some(settings.delay);
        let served_by = ServedBy { host, lanes: Some(lanes), delay }.header();
        Self { free: Semaphore::new(lanes.into()), served_by, settings, metrics, stop }
    }

    /// Sleeps for the simulated delay, or until the service stops.
    pub(crate) async fn delay(&self) -> Extension<Delayed> {
        let delay = chassis::simulate(self.settings.delay, &self.stop);
        Extension(Delayed(trace::span("delay", delay).await))
    }
}

/// Makes a request wait for a lane. The lane is free again when the response is ready, before it is
/// sent, so that a slow reader does not delay other requests.
pub(crate) async fn queue(State(lane): State<Arc<Lane>>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let _place = GaugeGuard::new(&lane.metrics.queue_depth);
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
