//! Where spans go: to the collector that the environment names, by OTLP over HTTP.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
};
use tokio::{net::TcpStream, runtime::Handle, time::timeout};
use tracing::{info, warn};

use crate::SettingError;

/// How long one batch may take, unless the environment says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const MOST: usize = 64 * 1024;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The setting that says where spans go, and where that is.
fn endpoint() -> Result<Option<(&'static str, String)>, SettingError> {
    let set = |name: &'static str| env::var(name).ok().filter(|value| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").as_deref() == Some("none")
    {
        return Ok(None);
    }
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let Some((name, url)) = names.into_iter().find_map(|name| Some((name, set(name)?))) else {
        return Ok(None);
    };
    let right = "http://collector:4318";
    // Nobody logs in here, and a password must not come to light in the error.
    if url.contains('@') {
        let wrong = format!("a URL without user and password is needed, such as {right}");
        return Err(SettingError::new(format!("{name}: {wrong}")));
    }
    if !url.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("http")) {
        return Err(SettingError::new(format!(
            "{name}: {}",
            crate::wrong(&url, "an HTTP URL", right)
        )));
    }
    // Whatever the library would take for a mistake and pass over.
    for (name, known) in [
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["http/protobuf"][..]),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"]),
        ("OTEL_TRACES_EXPORTER", &["otlp"]),
        ("OTEL_TRACES_SAMPLER", &SAMPLERS),
    ] {
        if let Some(value) = set(name).filter(|value| !known.contains(&value.as_str())) {
            let wrong = crate::wrong(&value, "supported", &known.join(" or "));
            return Err(SettingError::new(format!("{name}: {wrong}")));
        }
    }
    let ratio = |value: &String| value.parse().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    if let Some(value) = set("OTEL_TRACES_SAMPLER_ARG").filter(|value| !ratio(value)) {
        let wrong = crate::wrong(&value, "a ratio", "0.01");
        return Err(SettingError::new(format!("OTEL_TRACES_SAMPLER_ARG: {wrong}")));
    }
    Ok(Some((name, url)))
}

/// How long one batch may take, by the first of these variables that is set, in milliseconds, of which
/// none means no limit.
fn patience() -> Result<Duration, SettingError> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"] {
        if let Some(value) = env::var(name).ok().filter(|value| !value.is_empty()) {
            let wrong = |_| crate::wrong(&value, "a number of milliseconds", "10000");
            let ms = value.parse::<u64>().map_err(wrong);
            return ms
                .map(|ms| if ms == 0 { Duration::MAX } else { Duration::from_millis(ms) })
                .map_err(|wrong| SettingError::new(format!("{name}: {wrong}")));
        }
    }
    Ok(PATIENCE)
}

/// The exporter that the environment asks for, and who exports. Needs a runtime.
pub(crate) fn from_environment(
    service: &'static str,
    version: &str,
) -> Result<Option<(SpanExporter, Resource)>, SettingError> {
    let Some((setting, url)) = endpoint()? else {
        return Ok(None);
    };
    let (patience, failing) = (patience()?, AtomicBool::new(false));
    let collector = Collector { runtime: Handle::current(), url, patience, failing };
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).build();
    let exporter = exporter.map_err(|error| SettingError::new(format!("{setting}: {error}")))?;
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new("service.name", service),
            KeyValue::new("service.version", version.to_owned()),
            KeyValue::new("service.instance.id", crate::hostname()),
        ])
        // Last, because what the environment says comes before what we say.
        .with_detector(Box::new(EnvResourceDetector::new()));
    let resource = match env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()) {
        Some(name) => resource.with_service_name(name),
        None => resource,
    };
    Ok(Some((exporter, resource.build())))
}

/// The collector of spans, spoken to on the runtime, since spans are exported by a thread apart.
#[derive(Debug)]
struct Collector {
    runtime: Handle,
    url: String,
    patience: Duration,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let patience = self.patience;
        let sent = self.runtime.spawn(async move { timeout(patience, send(request)).await }).await;
        let answer = sent.map_err(Into::into).and_then(|sent| sent?);
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("status {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        // Said once, not for each batch.
        if self.failing.swap(trouble.is_some(), Ordering::Relaxed) != trouble.is_some() {
            match trouble {
                Some(trouble) => warn!("spans are lost: {}: {trouble}", self.url),
                None => info!("spans are exported again"),
            }
        }
        answer
    }
}

/// Sends one request on a connection of its own: there is one every few seconds.
async fn send(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let url = std::mem::take(request.uri_mut());
    let authority = url.authority().ok_or("no host")?;
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    *request.uri_mut() = url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, MOST).collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}
