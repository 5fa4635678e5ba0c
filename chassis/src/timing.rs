//! Response headers that report how long a request took, and which host served it.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The longest host name, in bytes.
///
/// Source: RFC 1035, <https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4>.
const MAX_HOST_BYTES: usize = 255;

/// The name of this host; in a container, the container's.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Sleeps for a simulated delay or until the service stops, and returns how long it slept.
pub async fn simulate(delay: Duration, stop: &CancellationToken) -> Duration {
    let start = Instant::now();
    // Even an empty sleep lasts until the timer's next millisecond.
    if !delay.is_zero() {
        stop.run_until_cancelled(sleep(delay)).await;
    }
    start.elapsed()
}

/// How long a request waited in the queue, slept on purpose, and was worked on.
///
/// Source: W3C Server Timing, <https://www.w3.org/TR/server-timing/>.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerTiming {
    /// Waiting for a lane.
    pub queue: Duration,
    /// The simulated delay.
    pub delay: Duration,
    /// Everything else.
    pub work: Duration,
}

impl ServerTiming {
    /// Reads the header `Server-Timing`; none if it is missing or has another form.
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
        let times = [self.queue, self.delay, self.work];
        let [queue, delay, work] = times.map(|time| time.as_secs_f64() * 1000.0);
        let value = format!("queue;dur={queue:.3}, delay;dur={delay:.3}, work;dur={work:.3}");
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert("server-timing", value);
        }
    }
}

/// The host that served a request, and its settings.
///
/// Source: an item with parameters, RFC 9651, <https://www.rfc-editor.org/rfc/rfc9651#item>.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedBy {
    /// The name of the host.
    pub host: String,
    /// Requests that it works on at once; none if there is no limit.
    pub lanes: Option<u16>,
    /// The configured simulated delay; none from older services.
    pub delay: Option<Duration>,
}

impl ServedBy {
    /// The value of the header `Served-By`, with the delay in milliseconds.
    pub fn header(&self) -> HeaderValue {
        let plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        let host: String = self.host.chars().filter(plain).collect();
        let lanes = self.lanes.map(|lanes| format!(";lanes={lanes}")).unwrap_or_default();
        let delay = self.delay.map(|delay| format!(";delay={:.3}", delay.as_secs_f64() * 1000.0));
        let value = format!("\"{host}\"{lanes}{}", delay.unwrap_or_default());
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Reads the header `Served-By`; none if it is missing or has another form.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("served-by")?.to_str().ok()?;
        let (host, parameters) = value.strip_prefix('"')?.split_once('"')?;
        let parameter = |name| parameters.split(';').find_map(|text| text.strip_prefix(name));
        let lanes = parameter("lanes=").map(str::parse).transpose().ok()?;
        let ms = parameter("delay=").map(str::parse::<f64>).transpose().ok()?;
        let delay = ms.map(|ms| Duration::try_from_secs_f64(ms / 1000.0)).transpose().ok()?;
        let host = (host.len() <= MAX_HOST_BYTES).then(|| host.to_owned())?;
        Some(Self { host, lanes, delay })
    }
}
