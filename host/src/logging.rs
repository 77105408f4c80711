//! Logs, to standard error: text for people on a terminal, one JSON object a line otherwise.
//!
//! What a line is about (pipeline, task, topic, partition, offset) stands in fields, given by the event or by
//! the spans around it. In JSON they all lie at the top, beside `timestamp`, `level`, `target` and `message`, so
//! that a log store can be asked for `pipeline = "ticks"` wherever the field was given; the innermost counts.

use std::fmt;
use std::io::{self, IsTerminal as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::{Layer, Registry};

use crate::error::{Error, Kind, Result};

/// The flags and variables of logging.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug or trace, also by module (weir::task=debug)
    #[arg(long = "log", global = true, value_name = "LEVEL", env = "WEIR_LOG", default_value = "info")]
    pub level: String,

    /// How: auto is text on a terminal and JSON lines otherwise
    #[arg(long = "log-format", global = true, value_name = "FORMAT", env = "WEIR_LOG_FORMAT", default_value = "auto")]
    pub format: Format,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets up logging for the process, once. Errors: a level that cannot be read, or a second call.
pub fn init(args: &LogArgs) -> Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let is_json = match args.format {
        Format::Auto => !is_terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let subscriber = subscriber(&args.level, is_json, is_terminal, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| Error::caused(Kind::Internal, "logging is set up twice", error))
}

/// A subscriber that writes lines to `writer`; `colour` concerns text alone.
pub fn subscriber<W>(level: &str, is_json: bool, colour: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|error| {
        let message = format!("the log level `{level}` is not one of error, warn, info, debug, trace or MODULE=LEVEL");
        Error::caused(Kind::Config, message, error)
    })?;
    let registry = Registry::default().with(filter);
    Ok(if is_json {
        Box::new(registry.with(JsonLines { writer }))
    } else {
        let text = tracing_subscriber::fmt::layer().compact().with_target(false).with_ansi(colour);
        Box::new(registry.with(text.with_writer(writer)))
    })
}

/// Writes each event as one JSON object with the fields of its spans.
struct JsonLines<W> {
    writer: W,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields(Map::new());
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields(Map::new());
        values.record(&mut fields);
        if let Some(kept) = span.extensions_mut().get_mut::<SpanFields>() {
            kept.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(kept) = span.extensions().get::<SpanFields>() {
                fields.0.extend(kept.0.clone());
            }
        }
        event.record(&mut fields);
        let mut timestamp = String::new();
        // The clock writes into a string, which does not fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let metadata = event.metadata();
        fields.0.insert("timestamp".to_owned(), timestamp.into());
        fields.0.insert("level".to_owned(), metadata.level().as_str().into());
        fields.0.insert("target".to_owned(), metadata.target().into());
        let mut line = Value::Object(fields.0).to_string();
        line.push('\n');
        // A log line that cannot be written has nowhere to be reported.
        let _ = io::Write::write_all(&mut self.writer.make_writer_for(metadata), line.as_bytes());
    }
}

/// Collects fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
#[path = "logging_tests.rs"]
mod tests;
