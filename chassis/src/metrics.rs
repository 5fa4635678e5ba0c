//! Metrics of every service: its build and its process.

use std::{fmt, fs};

use axum::{
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, VARY},
    },
    response::IntoResponse,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

/// Upper bounds of duration histograms, in seconds: those of the conventions, and smaller ones for a
/// service without simulated delays.
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

/// Counts one in a gauge until it is dropped.
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Increments the gauge.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A registry that already has the metrics of the build and the process.
pub fn registry(service: &'static str, version: &str) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("service", service.to_owned()), ("version", version.to_owned())]);
    registry.register("dockercoins_build", "Service and version of this program", build);
    registry.register_collector(Box::new(Process));
    registry
}

/// The current metrics as OpenMetrics text if the client accepts it by name, as Prometheus does;
/// otherwise in the older text format, which every tool reads.
///
/// Source: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub(crate) fn expose(
    registry: &Registry,
    headers: &HeaderMap,
) -> Result<impl IntoResponse + use<>, StatusCode> {
    let mut text = String::new();
    encode(&mut text, registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (format, text) = match accepted.any(|value| value.contains("application/openmetrics-text"))
    {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        false => ("text/plain; version=0.0.4; charset=utf-8", older_format(&text)),
    };
    Ok(([(CONTENT_TYPE, format), (VARY, "accept")], text))
}

/// OpenMetrics text in the format of Prometheus before OpenMetrics: a counter is described under the
/// name of its samples, an info is a gauge, and there are no units and no end mark.
///
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
fn older_format(text: &str) -> String {
    let mut older = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                older += &format!("# HELP {name}{suffix} {help}\n");
            }
            older += &format!("# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            older += line;
            older.push('\n');
        }
    }
    older
}

/// The resources of this process, read at each scrape. A host without /proc has none of these.
///
/// Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some([(name, help, cpu), gauges @ ..]) = usage() else {
            return Ok(());
        };
        let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, f64>(&cpu, None)?;
        for (name, help, value) in gauges {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// The name, help and value of each metric; the first is a counter, the others are gauges.
///
/// Source: proc_pid_stat(5), <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn usage() -> Option<[(&'static str, &'static str, f64); 7]> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The fields follow the process name, which is in parentheses and may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    let ticks = clock_ticks_per_second() as f64;
    let files = fs::read_dir("/proc/self/fd").ok()?.count() as f64;
    let max_files = getrlimit(Resource::Nofile).current;
    let max_files = max_files.map_or(f64::INFINITY, |files| files as f64);
    let cpu = (field(14)? + field(15)?) / ticks;
    let start = boot + field(22)? / ticks;
    Some([
        ("process_cpu_seconds", "CPU time used, in user and system mode", cpu),
        ("process_resident_memory_bytes", "Memory in use", field(24)? * page_size() as f64),
        ("process_virtual_memory_bytes", "Address space in use", field(23)?),
        ("process_open_fds", "Open files", files),
        ("process_max_fds", "Limit of open files", max_files),
        ("process_threads", "Threads", field(20)?),
        ("process_start_time_seconds", "When the process started, since the epoch", start),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_after_their_samples() {
        let open_metrics = "# HELP hashes Hashes done.\n# TYPE hashes counter\n\
             # UNIT seconds seconds\nhashes_total 3\n# TYPE queue gauge\nqueue 1\n# EOF\n";
        let older = "# HELP hashes_total Hashes done.\n# TYPE hashes_total counter\n\
             hashes_total 3\n# TYPE queue gauge\nqueue 1\n";
        assert_eq!(older_format(open_metrics), older);
    }
}
