//! What every service tells Prometheus about itself and its process.

use std::{fmt, fs};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{
        counter::ConstCounter,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

/// Upper bounds of duration histograms, in seconds: those that the conventions advise, and smaller
/// ones for a service without simulated delays.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.
const SECONDS: [f64; 19] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0,
];

/// A histogram of durations.
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// One of those that a gauge counts, until it is dropped, for whatever reason.
pub struct Present(Gauge);

impl Present {
    /// Counts one more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Where a service registers its metrics; it already says what runs here and what that uses.
pub fn registry(service: &'static str, version: &str) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("service", service.to_owned()), ("version", version.to_owned())]);
    registry.register("dockercoins_build", "Which program this is", build);
    registry.register_collector(Box::new(Process));
    registry
}

/// All metrics, as they are now.
///
/// Source: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub(crate) fn expose(registry: &Registry) -> Response {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        let sentence = "The metrics cannot be written as text.\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response();
    }
    let text_format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, text_format)], text).into_response()
}

/// What this process uses, read anew for each scrape. Where there is no /proc, nothing is said.
///
/// Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(usage) = Usage::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(usage.cpu);
        let help = "CPU time used, in user and system mode";
        let name = "process_cpu_seconds";
        cpu.encode(encoder.encode_descriptor(name, help, None, cpu.metric_type())?)?;
        for (name, help, value) in usage.gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

struct Usage {
    cpu: f64,
    gauges: [(&'static str, &'static str, f64); 6],
}

impl Usage {
    /// Source: proc_pid_stat(5), <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name before them is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        let ticks = clock_ticks_per_second() as f64;
        let files = fs::read_dir("/proc/self/fd").ok()?.count() as f64;
        let most_files = getrlimit(Resource::Nofile).current;
        let most_files = most_files.map_or(f64::INFINITY, |files| files as f64);
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use", field(24)? * page_size() as f64),
            ("process_virtual_memory_bytes", "Address space in use", field(23)?),
            ("process_open_fds", "Open files", files),
            ("process_max_fds", "The most files that may be open", most_files),
            ("process_threads", "Threads", field(20)?),
            (
                "process_start_time_seconds",
                "When the process started, since the epoch",
                boot + field(22)? / ticks,
            ),
        ];
        Some(Self { cpu: (field(14)? + field(15)?) / ticks, gauges })
    }
}
