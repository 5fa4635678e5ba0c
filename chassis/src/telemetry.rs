//! Logs: plain text for people, JSON for machines.

use std::{env, fmt, str::FromStr};

use tracing::{Event, Level, field::Field, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{Format, Json, JsonFields, Writer, debug_fn},
        layer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    access::ACCESS,
    parse::{SettingError, invalid_value},
    settings::{LogFormat, Settings},
    trace,
};

/// Starts the logs of this process, coloured if they go to a terminal that has colours; the first
/// call decides where they go. Fails when `RUST_LOG` is not a filter.
pub fn start_logs(
    settings: &Settings,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    is_terminal: bool,
) -> Result<(), SettingError> {
    let mut filter = filter(&settings.rust_log)?;
    if settings.debug.to_string_lossy().to_lowercase().starts_with('y') {
        let ours = ["chassis", "store", "rng", "hasher", "worker", "webui", "load", "dockercoins"];
        filter = filter.with_targets(ours.map(|name| (name, LevelFilter::DEBUG)));
    }
    let has_colours =
        has_control_codes() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // An error of the writer has no other place to go: stderr may fail in the same way.
    let logs = layer()
        .with_ansi(is_terminal && has_colours)
        .with_writer(writer)
        .log_internal_errors(false);
    let logs = match settings.log_format {
        LogFormat::Text => {
            let only_values = debug_fn(|writer, _, value| write!(writer, "{value:?}"));
            logs.fmt_fields(only_values).event_format(TextLine).boxed()
        }
        LogFormat::Json => {
            let json = Format::default().json().flatten_event(true).with_span_list(false);
            logs.fmt_fields(JsonFields::new()).event_format(JsonLine(json)).boxed()
        }
    };
    let _ = tracing_subscriber::registry().with(logs.with_filter(filter)).try_init();
    Ok(())
}

/// Whether a terminal of this process knows control codes, such as those for colours.
pub fn has_control_codes() -> bool {
    env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn filter(rust_log: &str) -> Result<Targets, SettingError> {
    // A single word would be a target, and a level with a typo would silence everything else.
    let is_level = |word: &str| word.contains('=') || LevelFilter::from_str(word).is_ok();
    let filter = Targets::from_str(rust_log).ok();
    filter.filter(|_| rust_log.split(',').all(is_level)).ok_or_else(|| {
        let reason = invalid_value(rust_log, "a log filter", "info, debug or info,access=off");
        SettingError::new(format!("RUST_LOG: {reason}"))
    })
}

/// JSON lines with the identifiers of their trace and span.
///
/// Source: <https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/>.
struct JsonLine(Format<Json>);

impl FormatEvent<Registry, JsonFields> for JsonLine {
    fn format_event(
        &self,
        context: &FmtContext<'_, Registry, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
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
struct TextLine;

impl<N: for<'a> FormatFields<'a> + 'static> FormatEvent<Registry, N> for TextLine {
    fn format_event(
        &self,
        context: &FmtContext<'_, Registry, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(span) = context.event_scope().and_then(|mut scope| scope.next())
            && let Some(service) = span.extensions().get::<FormattedFields<N>>()
        {
            let colour = 31 + service.bytes().map(u32::from).sum::<u32>() % 6;
            paint(&mut writer, colour, format_args!("{:<9} |", service.fields))?;
            writer.write_char(' ')?;
        }
        SystemTime.format_time(&mut writer)?;
        writer.write_char(' ')?;
        let metadata = event.metadata();
        let level = format_args!("{:>5}", metadata.level());
        match *metadata.level() {
            Level::ERROR => paint(&mut writer, 31, level)?,
            Level::WARN => paint(&mut writer, 33, level)?,
            _ => writer.write_fmt(level)?,
        }
        writer.write_char(' ')?;
        // The message comes first. That of an access line already contains the other fields.
        let mut result = Ok(());
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
            if field.name() == "message" {
                result = result.and_then(|()| write!(writer, "{value:?}"));
            } else if metadata.target() != ACCESS {
                result = result.and_then(|()| write!(writer, " {field}={value:?}"));
            }
        });
        result.and_then(|()| writeln!(writer))
    }
}

/// Writes text, on a terminal in a colour of ANSI X3.64.
fn paint(writer: &mut Writer<'_>, colour: u32, text: fmt::Arguments<'_>) -> fmt::Result {
    match writer.has_ansi_escapes() {
        true => write!(writer, "\x1b[{colour}m{text}\x1b[0m"),
        false => writer.write_fmt(text),
    }
}
