//! Traces: their context always travels with requests; spans are exported when somebody collects them.

use std::{fmt::Display, future::Future, sync::OnceLock, thread, time::Duration};

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

use tokio::{sync::oneshot, time::timeout};

use crate::{SettingError, export};

/// How long the end of the process waits for the last spans to be exported.
const LAST_EXPORT: Duration = Duration::from_millis(300);

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    /// Whether anybody sees the spans.
    exported: bool,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Exports spans, if the environment says where to. Needs a runtime. Fails when they cannot go
/// there.
pub fn export(service: &'static str, version: &str) -> Result<(), SettingError> {
    if let Some((exporter, resource)) = export::from_environment(service, version)? {
        let provider = SdkTracerProvider::builder();
        set(true, provider.with_batch_exporter(exporter).with_resource(resource).build());
    }
    Ok(())
}

/// Makes identifiers, which travel, though nobody records anything; unless somebody does already.
pub(crate) fn init() {
    set(false, SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build());
}

fn set(exported: bool, provider: SdkTracerProvider) {
    let tracer = provider.tracer("dockercoins");
    // Where a test starts two applications in one process, the first has set tracing up for both.
    let _ = TRACES.set(Traces { exported, provider, tracer });
}

// None of these is an async function: those keep what they are given twice, and copy it from one
// place to the other.

/// Runs a future in a span, below the one that is current.
pub fn span<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> {
    below(Context::current(), SpanBuilder::from_name(name), future)
}

/// Asks a peer in a span, below the one that is current.
pub fn call<T, E: Display>(
    name: &'static str,
    asking: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Client);
    below(Context::current(), span, failing(asking))
}

/// Runs a future in a span that begins a trace.
pub fn root<T, E: Display>(
    name: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    within(Context::new(), SpanBuilder::from_name(name), failing(work))
}

/// Tells the current span of an error.
fn failing<T, E: Display>(
    future: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    future.inspect_err(|error| {
        annotate(|span| span.set_status(Status::error(format!("{error:#}"))));
    })
}

/// Nobody sees a span below one that is not recorded: it is not made.
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

/// Runs a future in a span below the given context; within that itself, if nobody sees the span.
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

/// Adds to the current span, if it is recorded.
pub(crate) fn annotate(add: impl FnOnce(SpanRef<'_>)) {
    let context = Context::current();
    if context.span().is_recording() {
        add(context.span());
    }
}

/// Tells a peer of the current span.
///
/// Source: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
pub fn inject(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject(&mut NotEmpty(HeaderInjector(headers)));
}

/// Leaves out what says nothing: the state of most traces.
struct NotEmpty<'a>(HeaderInjector<'a>);

impl Injector for NotEmpty<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.set(key, value);
        }
    }
}

/// The span of whoever sent these headers.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}

/// The current span, by which log lines are found.
pub(crate) fn current() -> Option<SpanContext> {
    let span = Context::map_current(|context| context.span().span_context().clone());
    span.is_valid().then_some(span)
}

/// Exports what is left, for a moment. The exporter needs the runtime meanwhile.
pub(crate) async fn finish() {
    let (done, end) = oneshot::channel();
    thread::spawn(move || {
        if let Some(traces) = TRACES.get() {
            let _ = traces.provider.shutdown_with_timeout(LAST_EXPORT);
        }
        let _ = done.send(());
    });
    let _ = timeout(LAST_EXPORT, end).await;
}
