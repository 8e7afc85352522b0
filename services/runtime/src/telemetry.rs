//! Logs: one JSON object a line on standard output, each with the trace id of what it belongs to; and traces, sent to a collector where
//! the environment names one (see [`otlp`]).

use std::{
    fmt,
    io::{self, Write},
};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::config::Log;

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter is not a list of directives such as `info,runtime=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Traces cannot be sent as the environment says.
    #[error(transparent)]
    Traces(#[from] otlp::Error),
    /// Someone started it before.
    #[error("logging has already been started")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process, a service called `name`, and the sending of traces, whose last ones go when the answer is dropped.
pub fn init(name: &'static str, log: &Log) -> Result<Option<otlp::Rest>, TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let traces = otlp::Settings::from_environment().map(|settings| otlp::start(name, &settings)).transpose()?;
    let (export, rest) = traces.unzip();
    tracing_subscriber::registry().with(JsonLines { write: io::stdout }.with_filter(filter)).with(export).try_init()?;
    Ok(rest)
}

/// Writes an event as `{time, level, target, message, trace_id, ...}`: its own fields and those of the spans around it,
/// flat, the inner ones winning.
struct JsonLines<W> {
    write: W,
}

struct SpanFields(Map<String, Value>);

impl<S, W, O> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: layer::Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Map::new();
            attributes.record(&mut Fields(&mut fields));
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: layer::Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(&mut Fields(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("time".into(), Timestamp::now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        for span in context.event_scope(event).into_iter().flat_map(layer_scope_from_root) {
            if let Some(SpanFields(fields)) = span.extensions().get::<SpanFields>() {
                line.extend(fields.clone());
            }
        }
        event.record(&mut Fields(&mut line));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // A log that cannot be written has nowhere to say so.
        let _ = (self.write)().write_all(text.as_bytes());
    }
}

fn layer_scope_from_root<'a, S: Subscriber + LookupSpan<'a>>(
    scope: tracing_subscriber::registry::Scope<'a, S>,
) -> tracing_subscriber::registry::ScopeFromRoot<'a, S> {
    scope.from_root()
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, chain(value));
    }
}

/// An error with everything that led to it, on one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many libraries repeat their source in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines { write: move || writer.clone() });
        tracing::subscriber::with_default(subscriber, work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_carries_the_trace_id_of_the_span_around_it() {
        let lines = logged(|| {
            let span = tracing::info_span!("request", trace_id = "abc", status = tracing::field::Empty);
            let _entered = span.enter();
            span.record("status", 200);
            tracing::warn!(count = 3, "two\nlines");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["trace_id"], "abc");
        assert_eq!(lines[0]["status"], 200);
        assert_eq!(lines[0]["count"], 3);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "two\nlines");
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the letter was not sent")]
        struct NotSent(#[source] io::Error);

        assert_eq!(chain(&NotSent(io::Error::other("no stamp"))), "the letter was not sent: no stamp");
    }
}
