//! Logs: plain text for people, JSON on request.

use std::{
    env,
    io::{self, IsTerminal},
    str::FromStr,
};

use clap::ValueEnum;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer, debug_fn},
        time::{FormatTime, SystemTime},
        writer::BoxMakeWriter,
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{ACCESS, SettingError, Settings, trace, wrong};

/// The shape of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for this process. Fails when `RUST_LOG` is not a filter.
pub(crate) fn init(settings: &Settings) -> Result<(), SettingError> {
    let mut filter = filter(&settings.rust_log)?;
    if settings.debug.to_string_lossy().to_lowercase().starts_with('y') {
        let ours = ["chassis", "store", "rng", "hasher", "worker", "webui"];
        filter = filter.with_targets(ours.map(|name| (name, LevelFilter::DEBUG)));
    }
    let (output, is_terminal) = match settings.log_to_stderr {
        true => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        false => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
    };
    let colour = is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = fmt::layer().with_ansi(colour).with_writer(output);
    let logs = match settings.log_format {
        LogFormat::Text => {
            let only_values = debug_fn(|writer, _, value| write!(writer, "{value:?}"));
            let line = Line { erases: is_terminal && settings.log_to_stderr };
            logs.fmt_fields(only_values).event_format(line).boxed()
        }
        LogFormat::Json => {
            let json = fmt::format().json().flatten_event(true).with_span_list(false);
            logs.fmt_fields(JsonFields::new()).event_format(Traced(json)).boxed()
        }
    };
    // Where a test starts two applications in one process, the first has set logging up for both.
    let _ = tracing_subscriber::registry().with(logs.with_filter(filter)).try_init();
    Ok(())
}

fn filter(rust_log: &str) -> Result<Targets, SettingError> {
    // A word alone would be a target, and a level with a typo would silence everything else.
    let is_level = |word: &str| word.contains('=') || LevelFilter::from_str(word).is_ok();
    let filter = Targets::from_str(rust_log).ok();
    filter.filter(|_| rust_log.split(',').all(is_level)).ok_or_else(|| {
        let wrong = wrong(rust_log, "a log filter", "info, debug or info,access=off");
        SettingError::new(format!("RUST_LOG: {wrong}"))
    })
}

/// JSON lines that say to which span they belong.
///
/// Source: <https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/>.
struct Traced<F>(F);

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match (trace::current(), line.trim_end().strip_suffix('}')) {
            (Some(span), Some(open)) => {
                let (trace, span) = (span.trace_id(), span.span_id());
                writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#)
            }
            _ => writer.write_str(&line),
        }
    }
}

/// `worker_1  | 2026-01-01T00:00:00Z  INFO message field=value`; the prefix is the span of the
/// service, which only the application in one process has.
struct Line {
    /// Whether the line of the terminal may have something else, such as a progress bar.
    erases: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let colour = writer.has_ansi_escapes();
        if self.erases {
            writer.write_str("\r\x1b[2K")?;
        }
        if let Some(span) = context.event_scope().and_then(|mut scope| scope.next()) {
            let extensions = span.extensions();
            if let Some(service) = extensions.get::<FormattedFields<N>>() {
                write_prefix(&mut writer, &service.fields)?;
            }
        }
        SystemTime.format_time(&mut writer)?;
        let level = event.metadata().level();
        match (colour, *level) {
            (true, tracing::Level::ERROR) => write!(writer, " \x1b[31m{level:>5}\x1b[0m ")?,
            (true, tracing::Level::WARN) => write!(writer, " \x1b[33m{level:>5}\x1b[0m ")?,
            _ => write!(writer, " {level:>5} ")?,
        }
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        writer.write_str(&fields.message)?;
        // An access line already says everything that its fields say.
        if event.metadata().target() != ACCESS {
            writer.write_str(&fields.rest)?;
        }
        writeln!(writer)
    }
}

/// The name of the service as `docker-compose up` shows it, in a colour of its own.
fn write_prefix(writer: &mut Writer<'_>, service: &str) -> std::fmt::Result {
    if writer.has_ansi_escapes() {
        let colour = 31 + service.bytes().map(usize::from).sum::<usize>() % 6;
        write!(writer, "\x1b[{colour}m{service:<9} |\x1b[0m ")
    } else {
        write!(writer, "{service:<9} | ")
    }
}

/// The message of an event, and its other fields as ` name=value`.
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.rest += &format!(" {field}={value:?}");
        }
    }
}
