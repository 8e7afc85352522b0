//! Spans of `tracing`, sent to an `OpenTelemetry` collector by OTLP over HTTP
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>), in batches and beside the work.
//!
//! A span is sent when it has fields `trace_id` and `span_id`, in the notation of W3C Trace Context; `parent_id` names the span that it
//! is a part of, which may be another process's. Whether and where to is said by the variables that `OpenTelemetry` has for it
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>):
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | base URL of the collector, `http://` alone | none, and nothing is sent |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | headers of each request, `name=value,...` | none |
//! | `OTEL_SERVICE_NAME` | who we are | what the program says |
//! | `OTEL_RESOURCE_ATTRIBUTES` | what else is to be known of us, `name=value,...` | nothing |
//! | `OTEL_TRACES_SAMPLER_ARG` | share of the traces that is sent, 0 to 1; the same traces by every process | 1 |

mod layer;
mod sampling;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_ENDPOINT, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::TokioCurrentThread;
use opentelemetry_sdk::trace::SpanProcessor as _;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;

pub use layer::Export;
use sampling::Sampling;

/// Where the protocol has traces be posted, below a collector's base URL.
const PATH: &str = "/v1/traces";
/// How long the collector may take for one batch, and for what is left at the end.
const PATIENCE: Duration = Duration::from_secs(5);

type Processor = BatchSpanProcessor<TokioCurrentThread>;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The collector's address cannot be used.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is {0:?}: write the URL of a collector such as http://collector.monitoring:4318"
    )]
    Endpoint(String),
    /// The share is none.
    #[error("OTEL_TRACES_SAMPLER_ARG is {0:?}: write a share of the traces from 0 to 1, such as 0.1")]
    Share(String),
    /// The sender cannot be made.
    #[error("cannot send traces: {0}")]
    Sender(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Where spans are sent, and which.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URL of the collector, `http://` alone.
    pub endpoint: String,
    /// Share of the traces that is sent, 0 to 1 in decimal notation; all without it.
    pub share: Option<String>,
}

impl Settings {
    /// What the environment says; none where it names no collector.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self { endpoint: variable(OTEL_EXPORTER_OTLP_ENDPOINT)?, share: variable("OTEL_TRACES_SAMPLER_ARG") })
    }
}

/// The layer that sends the spans of the program `name`, and what sends those that are left at the end. It starts a thread of its own.
pub fn start(name: &'static str, settings: &Settings) -> Result<(Export, Rest), Error> {
    let endpoint = settings.endpoint.trim_end_matches('/');
    if endpoint.strip_prefix("http://").is_none_or(str::is_empty) {
        return Err(Error::Endpoint(settings.endpoint.clone()));
    }
    let sampling = Sampling::of(settings.share.as_deref())?;
    let client = HyperClient::with_default_connector(PATIENCE, None);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{endpoint}{PATH}"))
        .build()?;
    let mut processor = BatchSpanProcessor::builder(exporter, TokioCurrentThread).build();
    processor.set_resource(&resource(name));
    let processor = Arc::new(processor);
    Ok((Export::new(processor.clone(), sampling, name), Rest(processor)))
}

/// Who we are: what the environment says, and `name` where it does not.
fn resource(name: &'static str) -> Resource {
    let said = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_some() { said.build() } else { said.with_service_name(name).build() }
}

/// Sends what has not been sent yet, once it is dropped.
#[must_use = "what is left when it is dropped is sent then"]
pub struct Rest(Arc<Processor>);

impl Drop for Rest {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
