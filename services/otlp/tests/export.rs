//! What a collector receives.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use otlp::Settings;
use prost::Message as _;
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector, as strict as the protocol: protobuf, at its path.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    async fn begin() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (collector, url)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap().clone();
        let scopes =
            requests.into_iter().flat_map(|request| request.resource_spans).flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let is_protobuf = headers.get("content-type").is_some_and(|value| value == "application/x-protobuf");
    let Some(request) = ExportTraceServiceRequest::decode(body).ok().filter(|_| is_protobuf) else {
        return StatusCode::BAD_REQUEST;
    };
    collector.0.lock().unwrap().push(request);
    StatusCode::OK
}

/// Does something within a program whose spans are sent, and waits until all are.
async fn sending(endpoint: String, share: Option<&str>, work: impl FnOnce() + Send + 'static) {
    let settings = Settings { endpoint, share: share.map(str::to_owned) };
    tokio::task::spawn_blocking(move || {
        let (export, rest) = otlp::start("gateway", &settings).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(export), work);
        drop(rest);
    })
    .await
    .unwrap();
}

fn a_request_with_work_in_it() {
    let request = tracing::info_span!(
        "request",
        trace_id = TRACE,
        span_id = %"b7ad6b7169203331",
        parent_id = CALLER,
        method = %"GET",
        status = tracing::field::Empty,
    );
    let _entered = request.enter();
    drop(tracing::info_span!(
        "work",
        work = "look up",
        trace_id = TRACE,
        span_id = "00f067aa0ba902b8",
        parent_id = "b7ad6b7169203331"
    ));
    drop(tracing::info_span!("a span of no trace", trace_id = TRACE));
    request.record("status", 503);
}

fn value_of(span: &Span, name: &str) -> Option<Value> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    attribute.value.clone()?.value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_each_span_with_its_place_in_the_trace() {
    let (collector, url) = Collector::begin().await;
    sending(format!("{url}/"), None, a_request_with_work_in_it).await;

    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let (work, request) = (&spans[0], &spans[1]);
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE));
    assert_eq!((work.name.as_str(), request.name.as_str()), ("look up", "request"));
    assert_eq!(work.parent_span_id, request.span_id);
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    assert_eq!((request.kind(), work.kind()), (SpanKind::Server, SpanKind::Internal));
    assert_eq!(value_of(request, "http.request.method"), Some(Value::StringValue("GET".into())));
    assert_eq!(value_of(request, "http.response.status_code"), Some(Value::IntValue(503)));
    assert_eq!(request.status.clone().unwrap_or_default().code, 2, "a 503 is an error");
    assert!(request.start_time_unix_nano <= work.start_time_unix_nano);
    assert!(work.end_time_unix_nano <= request.end_time_unix_nano);

    let requests = collector.0.lock().unwrap();
    let resource = requests[0].resource_spans[0].resource.clone().unwrap();
    let name = resource.attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
    assert_eq!(name.value.unwrap().value, Some(Value::StringValue("gateway".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_outside_of_the_share_is_not_sent() {
    let (collector, url) = Collector::begin().await;
    sending(url, Some("0"), a_request_with_work_in_it).await;
    assert!(collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_delays_nobody() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // Ends, and does not panic.
    sending(url, None, a_request_with_work_in_it).await;
}

#[test]
fn an_address_that_is_none_is_refused_with_its_value() {
    for endpoint in ["collector:4318", "https://collector:4318", "http://"] {
        let settings = Settings { endpoint: endpoint.to_owned(), share: None };
        let error = otlp::start("gateway", &settings).map(drop).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{endpoint:?}")) && error.contains("http://collector.monitoring:4318"),
            "{error}"
        );
    }
}
