//! What is measured of every request: a duration and a span.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
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

use crate::{Present, seconds, trace};

/// The metrics of HTTP servers; clones share them.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.
#[derive(Clone)]
pub struct Http {
    service: &'static str,
    durations: Family<Answered, Histogram, fn() -> Histogram>,
    active: Family<Asked, Gauge>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answered {
    service: &'static str,
    http_request_method: &'static str,
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Asked {
    service: &'static str,
    http_request_method: &'static str,
}

impl Default for Http {
    /// Metrics that nobody reads.
    fn default() -> Self {
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        Self { service: "", durations, active: Family::default() }
    }
}

impl Http {
    /// Metrics that are all zero, to be found in `registry` from now on.
    pub fn register(registry: &mut Registry) -> Self {
        let http = Self::default();
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from a request's header to that of its answer",
            Unit::Seconds,
            http.durations.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "Requests that have no answer yet",
            http.active.clone(),
        );
        http
    }

    /// The same metrics for the requests of one service.
    pub fn of(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }
}

/// Measures a request, within the trace of whoever sent it.
pub(crate) fn request<F: Future<Output = Response>>(
    http: Http,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> impl Future<Output = Response> {
    let started = Instant::now();
    let method = known(request.method());
    let active = http
        .active
        .get_or_create_owned(&Asked { service: http.service, http_request_method: method });
    let active = Present::new(&active);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let uri = request.uri().clone();
    let caller = trace::extract(request.headers());
    let name = if method == OTHER { "HTTP" } else { method };
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
    let path = |route: &Option<MatchedPath>| {
        route.as_ref().map_or_else(String::new, |route| route.as_str().to_owned())
    };
    let seen = route.clone();
    let answer = next(request).inspect(move |response| {
        trace::annotate(|span| {
            let (route, status) = (path(&seen), response.status());
            if !route.is_empty() {
                span.update_name(format!("{name} {route}"));
                span.set_attribute(KeyValue::new("http.route", route));
            }
            span.set_attribute(KeyValue::new("http.request.method", method));
            span.set_attribute(KeyValue::new("url.scheme", "http"));
            span.set_attribute(KeyValue::new("url.path", uri.path().to_owned()));
            let status_code = i64::from(status.as_u16());
            span.set_attribute(KeyValue::new("http.response.status_code", status_code));
            if status.is_server_error() {
                span.set_status(Status::error(""));
            }
        });
    });
    trace::within(caller, span, answer).inspect(move |response| {
        drop(active);
        let answered = Answered {
            service: http.service,
            http_request_method: method,
            http_route: path(&route),
            http_response_status_code: response.status().as_u16(),
        };
        http.durations.get_or_create(&answered).observe(started.elapsed().as_secs_f64());
    })
}

/// What stands for a method that the conventions do not know.
const OTHER: &str = "_OTHER";

/// The methods that the conventions know; whatever else clients send is one.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}
