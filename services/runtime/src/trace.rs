//! W3C trace context: accepted from callers, started where there is none, carried into logs, events and calls.

use std::time::Instant;

use axum::{extract::Request, middleware::Next, response::Response};
use contract::trace::{HEADER, TraceParent};
use http::{HeaderMap, HeaderValue};
use tracing::{Instrument, Span};

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// Where in which trace the running task is, if it is in one.
#[must_use]
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|parent| *parent).ok()
}

/// Runs `future` within `parent`: [`current`] tells it, and logs carry its trace id.
pub async fn scope<F: Future>(parent: TraceParent, name: &'static str, future: F) -> F::Output {
    let span = tracing::info_span!("work", work = name, trace_id = %parent.trace_id());
    CURRENT.scope(parent, future.instrument(span)).await
}

/// The caller's trace one step further down, or a new one.
#[must_use]
pub fn accept(headers: &HeaderMap) -> TraceParent {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<TraceParent>().ok())
        .map_or_else(TraceParent::start, TraceParent::child)
}

/// Writes the current trace into the headers of a call to someone else.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(parent) = current()
        && let Ok(value) = HeaderValue::from_str(&parent.to_string())
    {
        headers.insert(HEADER, value);
    }
}

/// Middleware: every request runs in its trace and leaves one line in the log. The query is left out: it may hold secrets.
pub async fn layer(request: Request, next: Next) -> Response {
    let parent = accept(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", trace_id = %parent.trace_id(), %method, %path);
    CURRENT.scope(parent, answer(request, next, span.clone()).instrument(span)).await
}

async fn answer(mut request: Request, next: Next, span: Span) -> Response {
    let began = Instant::now();
    if let Some(parent) = current() {
        request.extensions_mut().insert(parent);
    }
    let response = next.run(request).await;
    let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(parent: &span, status = response.status().as_u16(), milliseconds, "answered");
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn trace_id_seen_by_a_handler(request: Request) -> String {
        let app =
            Router::new().route("/", get(async || current().unwrap().trace_id())).layer(middleware::from_fn(layer));
        let body = app.oneshot(request).await.unwrap().into_body();
        String::from_utf8(axum::body::to_bytes(body, 100).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_callers_trace_is_carried_on() {
        let request = Request::builder()
            .uri("/")
            .header(HEADER, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .body(Body::empty())
            .unwrap();
        assert_eq!(trace_id_seen_by_a_handler(request).await, "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[tokio::test]
    async fn a_garbled_trace_is_replaced_by_a_new_one() {
        let request = Request::builder().uri("/").header(HEADER, "00-zz").body(Body::empty()).unwrap();
        let seen = trace_id_seen_by_a_handler(request).await;
        assert_eq!(seen.len(), 32);
        assert_ne!(seen, "0".repeat(32));
    }

    #[tokio::test]
    async fn outside_of_a_trace_nothing_is_injected() {
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty());
        let parent = TraceParent::start();
        scope(parent, "test", async { inject(&mut headers) }).await;
        assert_eq!(headers[HEADER], parent.to_string());
    }
}
