//! Where the time of a request went, told to whoever asked.

use std::time::Duration;

use axum::{http::HeaderValue, response::Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The name of this host, which in a container is the container's.
pub fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// Sleeps for a simulated delay, less when the service stops, and returns how long it slept.
pub async fn simulate(delay: Duration, stop: &CancellationToken) -> Duration {
    let start = Instant::now();
    // Even the shortest sleep takes the timer's next millisecond.
    if !delay.is_zero() {
        stop.run_until_cancelled(sleep(delay)).await;
    }
    start.elapsed()
}

/// How long a request waited for its turn, slept on purpose, and worked.
///
/// Source: W3C Server Timing, <https://www.w3.org/TR/server-timing/>.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerTiming {
    /// Waiting for the lane.
    pub queue: Duration,
    /// The simulated delay.
    pub delay: Duration,
    /// Everything else.
    pub work: Duration,
}

impl ServerTiming {
    /// Adds the header `Server-Timing`, in milliseconds.
    pub fn add_to(&self, response: &mut Response) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let value = format!(
            "queue;dur={:.3}, delay;dur={:.3}, work;dur={:.3}",
            ms(self.queue),
            ms(self.delay),
            ms(self.work)
        );
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert("server-timing", value);
        }
    }
}
