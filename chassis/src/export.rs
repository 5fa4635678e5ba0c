//! The export of spans to the collector that the environment names, by OTLP over HTTP.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SpanData, SpanExporter as Exporter},
};
use reqwest::{Client, redirect::Policy};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::{
    parse::{SettingError, invalid_value},
    timing::hostname,
};

/// How long the export of one batch may take, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Variables for which the library silently replaces an unknown value, and the values it knows.
const CHOICES: [(&str, &str); 4] = [
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ("OTEL_TRACES_EXPORTER", "otlp"),
    (
        "OTEL_TRACES_SAMPLER",
        "always_on or always_off or traceidratio or parentbased_always_on or \
         parentbased_always_off or parentbased_traceidratio",
    ),
];

/// A variable of the environment; an empty one counts as unset. Not trimmed, because the library
/// reads some of them itself.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The first of these variables that is set.
fn first_variable(names: [&'static str; 2]) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, variable(name)?)))
}

fn invalid(name: &str, value: &str, expected: &str, example: &str) -> SettingError {
    SettingError::new(format!("{name}: {}", invalid_value(value, expected, example)))
}

/// The variable that says where spans go, and its value.
fn endpoint() -> Result<Option<(&'static str, String)>, SettingError> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").as_deref() == Some("none")
    {
        return Ok(None);
    }
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let Some((name, url)) = first_variable(names) else {
        return Ok(None);
    };
    let example = "http://collector:4318";
    // The collector has no login here, and an error must not show a password.
    if url.contains('@') {
        let expected = format!("a URL without user and password is needed, such as {example}");
        return Err(SettingError::new(format!("{name}: {expected}")));
    }
    if !url.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("http")) {
        return Err(invalid(name, &url, "an HTTP URL", example));
    }
    for (name, known) in CHOICES {
        let is_known = |value: &str| known.split(" or ").any(|known| known == value);
        if let Some(value) = variable(name).filter(|value| !is_known(value)) {
            return Err(invalid(name, &value, "supported", known));
        }
    }
    let is_ratio = |value: &str| value.parse().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    if let Some(value) = variable("OTEL_TRACES_SAMPLER_ARG").filter(|value| !is_ratio(value)) {
        return Err(invalid("OTEL_TRACES_SAMPLER_ARG", &value, "a ratio", "0.01"));
    }
    Ok(Some((name, url)))
}

/// How long the export of one batch may take; 0 in the environment means no limit.
fn timeout() -> Result<Duration, SettingError> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let Some((name, value)) = first_variable(names) else {
        return Ok(TIMEOUT);
    };
    match value.parse() {
        Ok(0) => Ok(Duration::MAX),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => Err(invalid(name, &value, "a number of milliseconds", "10000")),
    }
}

/// The exporter that the environment configures, and the resource that exports. Needs a runtime.
pub(crate) fn from_environment(
    service: &'static str,
    version: &str,
) -> Result<Option<(LoggedExporter, Resource)>, SettingError> {
    let Some((setting, url)) = endpoint()? else {
        return Ok(None);
    };
    let failed = |error: String| SettingError::new(format!("{setting}: {error}"));
    let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(timeout()?);
    let client = client.build();
    let client = client.map_err(|error| failed(error.to_string()))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = LoggedExporter {
        exporter: exporter.map_err(|error| failed(error.to_string()))?,
        runtime: Handle::current(),
        url,
        is_failing: AtomicBool::new(false),
    };
    let name = variable("OTEL_SERVICE_NAME");
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new("service.name", service),
            KeyValue::new("service.version", version.to_owned()),
            KeyValue::new("service.instance.id", hostname()),
        ])
        // Last, because the environment takes precedence.
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(name.map(|name| KeyValue::new("service.name", name)))
        .build();
    Ok(Some((exporter, resource)))
}

/// An exporter that logs when exports begin to fail, and when they work again.
#[derive(Debug)]
pub(crate) struct LoggedExporter {
    exporter: SpanExporter,
    runtime: Handle,
    url: String,
    is_failing: AtomicBool,
}

impl Exporter for LoggedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // The SDK exports on a thread of its own, which may block; the HTTP client needs the
        // runtime.
        let result = self.runtime.block_on(self.exporter.export(batch));
        if self.is_failing.swap(result.is_err(), Ordering::Relaxed) != result.is_err() {
            match &result {
                Err(error) => warn!("spans are lost: {}: {error}", self.url),
                Ok(()) => info!("spans are exported again"),
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
