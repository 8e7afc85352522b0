//! Spans, from their beginning to their end.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};
use tracing::field::{Field, Visit};
use tracing::{Subscriber, span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::Processor;
use crate::sampling::Sampling;

/// The name of a span that answers somebody; all others are work of our own.
const REQUEST: &str = "request";
/// The field that names a span better than the code does.
const NAME: &str = "work";
/// Fields that say where in a trace a span is.
const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";
const PARENT_ID: &str = "parent_id";
/// Fields that the semantic conventions have other names for
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
const CONVENTIONS: [(&str, &str); 4] =
    [("method", "http.request.method"), ("path", "url.path"), ("status", STATUS), ("error", "error.message")];
const STATUS: &str = "http.response.status_code";

/// Sends each span that is part of a trace once it has ended.
pub struct Export {
    processor: Arc<Processor>,
    sampling: Sampling,
    scope: InstrumentationScope,
}

impl Export {
    pub(crate) fn new(processor: Arc<Processor>, sampling: Sampling, name: &'static str) -> Self {
        Self { processor, sampling, scope: InstrumentationScope::builder(name).build() }
    }
}

/// A span that has not ended.
struct Open {
    began: SystemTime,
    fields: Fields,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Export {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if fields.trace.is_some_and(|trace| self.sampling.takes(trace))
            && fields.span.is_some()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(Open { began: SystemTime::now(), fields });
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Open { began, fields }) = span.extensions_mut().remove::<Open>() {
            self.processor.on_end(self.data(span.name(), began, fields));
        }
    }
}

impl Export {
    fn data(&self, code: &'static str, began: SystemTime, fields: Fields) -> SpanData {
        let (trace, span) = (fields.trace.unwrap_or(TraceId::INVALID), fields.span.unwrap_or(SpanId::INVALID));
        SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: fields.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: code == REQUEST,
            span_kind: if code == REQUEST { SpanKind::Server } else { SpanKind::Internal },
            name: fields.name.map_or(Cow::Borrowed(code), Cow::Owned),
            start_time: began,
            end_time: SystemTime::now(),
            attributes: fields.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if fields.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// What a span says of itself.
#[derive(Default)]
struct Fields {
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    name: Option<String>,
    failed: bool,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn text(&mut self, field: &str, text: &str) {
        match field {
            TRACE_ID => self.trace = TraceId::from_hex(text).ok(),
            SPAN_ID => self.span = SpanId::from_hex(text).ok(),
            PARENT_ID => self.parent = SpanId::from_hex(text).ok(),
            NAME => self.name = Some(text.to_owned()),
            _ => self.put(field, text.to_owned()),
        }
    }

    fn put(&mut self, field: &str, value: impl Into<Value>) {
        let known = CONVENTIONS.iter().find(|(ours, _)| *ours == field);
        let name = known.map_or_else(|| Cow::Owned(field.to_owned()), |(_, theirs)| Cow::Borrowed(*theirs));
        let value = value.into();
        self.failed |= field == "error" || (name == STATUS && matches!(value, Value::I64(500..)));
        self.attributes.retain(|attribute| attribute.key.as_str() != name);
        self.attributes.push(KeyValue::new(name, value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // What is shown by its `Display` comes this way too.
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
}
