//! A collector of traces that accepts OTLP over HTTP and stores every span.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use chassis::Limits;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::span::SpanKind,
};
use prost::Message;
use testkit::Service;

/// A span and its service.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    /// Empty for the root of a trace.
    pub(crate) parent: Vec<u8>,
    /// Nanoseconds since the Unix epoch.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    pub(crate) attributes: Vec<(String, String)>,
}

/// A collector that runs until it is dropped.
pub(crate) struct Collector {
    service: Service,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Starts a collector.
    pub(crate) fn start() -> Self {
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let kept = spans.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            kept.lock().unwrap().extend(read(body));
            let response = ExportTraceServiceResponse::default().encode_to_vec();
            ([("content-type", "application/x-protobuf")], response)
        };
        let router = Router::new().route("/v1/traces", post(take));
        Self { service: Service::start(Limits::default(), |_| router), spans }
    }

    /// Starts a collector that never responds.
    pub(crate) fn hanging() -> Self {
        let router = Router::new().route("/v1/traces", post(async || pending::<()>().await));
        Self { service: Service::start(Limits::default(), |_| router), spans: Arc::default() }
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.service.address)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

fn read(body: Bytes) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let of = strings(&resource.resource.unwrap().attributes);
        let of = |name: &str| {
            of.iter().find(|(key, _)| key == name).map_or(String::new(), |(_, value)| value.clone())
        };
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                service: of("service.name"),
                version: of("service.version"),
                kind: span.kind(),
                failed: span.status.as_ref().is_some_and(|status| status.code == 2),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                attributes: strings(&span.attributes),
            });
        }
    }
    spans
}

fn strings(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}
