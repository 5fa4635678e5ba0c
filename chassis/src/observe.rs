//! Metrics and a span for every request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use futures_util::FutureExt;
use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, SpanKind, Status},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    metrics::{GaugeGuard, seconds},
    trace,
};

/// The methods that the conventions list. Clients may send any other, which is labelled `_OTHER`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The metrics of HTTP servers; clones share them.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.
#[derive(Clone)]
pub struct HttpMetrics {
    service: &'static str,
    durations: Family<ResponseLabels, Histogram, fn() -> Histogram>,
    active: Family<RequestLabels, Gauge>,
}

/// The service and the method.
type RequestLabels = [(&'static str, &'static str); 2];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResponseLabels {
    #[prometheus(flatten)]
    request: RequestLabels,
    http_route: String,
    http_response_status_code: u16,
}

impl Default for HttpMetrics {
    /// Metrics that are not registered.
    fn default() -> Self {
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        Self { service: "", durations, active: Family::default() }
    }
}

impl HttpMetrics {
    /// Metrics that are zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from a request's header to that of its response",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "Requests without a response yet",
            metrics.active.clone(),
        );
        metrics
    }

    /// The same metrics for the requests of one service.
    pub fn of(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }
}

/// Measures a request, in the trace of its client.
pub(crate) fn request<F: Future<Output = Response>>(
    metrics: HttpMetrics,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> impl Future<Output = Response> {
    let started = Instant::now();
    let method = METHODS.into_iter().find(|method| *method == request.method().as_str());
    let (method, name) = method.map_or(("_OTHER", "HTTP"), |method| (method, method));
    let labels = [("service", metrics.service), ("http_request_method", method)];
    let active = GaugeGuard::new(&metrics.active.get_or_create_owned(&labels));
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(String::new, |route| route.as_str().to_owned());
    let uri = request.uri().clone();
    let caller = trace::extract(request.headers());
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
    let response = next(request).inspect(move |response| {
        drop(active);
        let status = response.status();
        trace::annotate(|span| {
            if !route.is_empty() {
                span.update_name(format!("{name} {route}"));
                span.set_attribute(KeyValue::new("http.route", route.clone()));
            }
            span.set_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("url.path", uri.path().to_owned()),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            ]);
            if status.is_server_error() {
                span.set_status(Status::error(""));
            }
        });
        let labels = ResponseLabels {
            request: labels,
            http_route: route,
            http_response_status_code: status.as_u16(),
        };
        metrics.durations.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    });
    trace::within(caller, span, response)
}
