//! Traces: their context always travels with requests; spans are exported if a collector is
//! configured.

use std::{fmt::Display, future::Future, sync::OnceLock, time::Duration};

use futures_util::{TryFutureExt, future::Either};
use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Injector, TextMapPropagator},
    trace::{
        FutureExt, SpanBuilder, SpanContext, SpanKind, SpanRef, Status, TraceContextExt, Tracer,
        TracerProvider,
    },
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{export, parse::SettingError, threads::ensure_threads};

/// How long the process waits at its end for the last spans to be exported.
const LAST_EXPORT: Duration = Duration::from_millis(300);

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    /// Whether spans are exported.
    exported: bool,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Exports spans if the environment names a collector. Needs a runtime. Fails when one of its
/// variables is invalid.
pub fn export(service: &'static str, version: &str) -> Result<(), SettingError> {
    if let Some((exporter, resource)) = export::from_environment(service, version)? {
        ensure_threads(1).map_err(|error| {
            SettingError::new(format!(
                "OTEL_EXPORTER_OTLP_ENDPOINT: cannot start the thread that exports spans: {error}; \
                 raise the limit of processes"
            ))
        })?;
        let provider = SdkTracerProvider::builder();
        set(true, provider.with_batch_exporter(exporter).with_resource(resource).build());
    }
    Ok(())
}

/// Starts tracing without an exporter: identifiers travel with requests, but no span is recorded.
/// Has no effect after [`export`].
pub(crate) fn init() {
    set(false, SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build());
}

fn set(exported: bool, provider: SdkTracerProvider) {
    let tracer = provider.tracer("dockercoins");
    // The first call decides: a test may start two applications in one process.
    let _ = TRACES.set(Traces { exported, provider, tracer });
}

// Hot-path functions return `impl Future`: an `async fn` would store its arguments twice.

/// Runs a future in a span, below the one that is current.
pub fn span<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> {
    below(Context::current(), SpanBuilder::from_name(name), future)
}

/// Sends a request in a span, below the one that is current.
pub fn call<T, E: Display>(
    name: &'static str,
    request: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Client);
    below(Context::current(), span, failing(request))
}

/// Runs a future in a span that begins a trace.
pub fn root<T, E: Display>(
    name: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    within(Context::new(), SpanBuilder::from_name(name), failing(work))
}

/// Records an error in the current span.
fn failing<T, E: Display>(
    future: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    future.inspect_err(|error| {
        annotate(|span| span.set_status(Status::error(format!("{error:#}"))));
    })
}

/// Runs a future in a span below `parent`, or in none if `parent` is not recorded.
fn below<F: Future>(
    parent: Context,
    span: SpanBuilder,
    future: F,
) -> impl Future<Output = F::Output> {
    match parent.span().is_recording() {
        true => Either::Left(within(parent, span, future)),
        false => Either::Right(future),
    }
}

/// Runs a future in a span below `parent`, or in `parent` itself if spans are not exported.
pub(crate) fn within<F: Future>(
    parent: Context,
    span: SpanBuilder,
    future: F,
) -> impl Future<Output = F::Output> {
    let context = match TRACES.get() {
        Some(traces) if traces.exported || !parent.span().span_context().is_valid() => {
            let span = traces.tracer.build_with_context(span, &parent);
            parent.with_span(span)
        }
        _ => parent,
    };
    future.with_context(context)
}

/// Changes the current span if it is recorded.
pub(crate) fn annotate(change: impl FnOnce(SpanRef<'_>)) {
    let context = Context::current();
    if context.span().is_recording() {
        change(context.span());
    }
}

/// Adds the headers that make the peer's span a child of the current one.
///
/// Source: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject(&mut NotEmpty(HeaderInjector(headers)));
}

/// Omits headers without a value: most traces have no state.
struct NotEmpty<'a>(HeaderInjector<'a>);

impl Injector for NotEmpty<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.set(key, value);
        }
    }
}

/// The span of the client that sent these headers.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

/// The current span, whose identifiers log lines carry.
pub(crate) fn current() -> Option<SpanContext> {
    let span = Context::map_current(|context| context.span().span_context().clone());
    span.is_valid().then_some(span)
}

/// Exports the last spans. The exporter needs the runtime meanwhile.
pub(crate) async fn finish() {
    let Some(traces) = TRACES.get().filter(|traces| traces.exported) else { return };
    let shutdown = spawn_blocking(|| traces.provider.shutdown_with_timeout(LAST_EXPORT));
    let _ = timeout(LAST_EXPORT, shutdown).await;
}
