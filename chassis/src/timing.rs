//! Where the time of a request went, told to whoever asked.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The longest name of a host, in bytes.
///
/// Source: RFC 1035, <https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4>.
const LONGEST_NAME: usize = 255;

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
    /// What an answer says about itself; none if it does not, or in a way that nobody here understands.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all("server-timing");
        let time = |name: &str| {
            let values = values.iter().filter_map(|value| value.to_str().ok());
            let mut metrics = values.flat_map(|value| value.split(',').map(str::trim));
            let mut parts =
                metrics.find_map(|metric| metric.strip_prefix(name)?.strip_prefix(';'))?.split(';');
            let ms: f64 = parts.find_map(|part| part.trim().strip_prefix("dur="))?.parse().ok()?;
            Duration::try_from_secs_f64(ms / 1000.0).ok()
        };
        Some(Self { queue: time("queue")?, delay: time("delay")?, work: time("work")? })
    }

    /// Adds the header `Server-Timing`, in milliseconds.
    pub fn add_to(&self, response: &mut Response) {
        let us = [self.queue, self.delay, self.work].map(|time| (time.as_nanos() + 500) / 1000);
        let [queue, delay, work] = us.map(|us| (us / 1000, us % 1000));
        let value = format!(
            "queue;dur={}.{:03}, delay;dur={}.{:03}, work;dur={}.{:03}",
            queue.0, queue.1, delay.0, delay.1, work.0, work.1
        );
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert("server-timing", value);
        }
    }
}

/// Which of the hosts behind a name has answered, and how many requests it works on at once.
///
/// Source: an item with a parameter, RFC 9651, <https://www.rfc-editor.org/rfc/rfc9651#item>.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The name of the host.
    pub by: String,
    /// The most requests at once.
    pub lanes: u16,
}

impl Served {
    /// The value of the header `Served-By`.
    pub fn header(&self) -> HeaderValue {
        let plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        let by: String = self.by.chars().filter(plain).collect();
        let value = format!("\"{by}\";lanes={}", self.lanes);
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// What an answer says, if it does.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("served-by")?.to_str().ok()?;
        let (by, lanes) = value.strip_prefix('"')?.split_once("\";lanes=")?;
        if by.len() > LONGEST_NAME {
            return None;
        }
        Some(Self { by: by.to_owned(), lanes: lanes.parse().ok()? })
    }
}
