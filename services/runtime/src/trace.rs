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

/// Runs `future` as a part of `parent`: [`current`] tells it where it is, and logs carry its trace id.
pub async fn scope<F: Future>(parent: TraceParent, name: &'static str, future: F) -> F::Output {
    let own = parent.child();
    let span = tracing::info_span!(
        "work",
        work = name,
        trace_id = own.trace_id(),
        span_id = span_id(own),
        parent_id = parent.parent_id(),
    );
    CURRENT.scope(own, future.instrument(span)).await
}

/// The id of a span that is to be sent; none where the caller does not want this trace recorded.
fn span_id(own: TraceParent) -> Option<String> {
    own.is_sampled().then(|| own.parent_id())
}

/// The caller's trace one step further down, or a new one.
#[must_use]
pub fn accept(headers: &HeaderMap) -> TraceParent {
    caller(headers).map_or_else(TraceParent::start, TraceParent::child)
}

fn caller(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(HEADER)?.to_str().ok()?.parse().ok()
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
    let caller = caller(request.headers());
    let own = caller.map_or_else(TraceParent::start, TraceParent::child);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!(
        "request",
        trace_id = own.trace_id(),
        span_id = span_id(own),
        parent_id = caller.map(TraceParent::parent_id),
        %method,
        %path,
        status = tracing::field::Empty,
    );
    CURRENT.scope(own, answer(request, next, span.clone()).instrument(span)).await
}

async fn answer(mut request: Request, next: Next, span: Span) -> Response {
    let began = Instant::now();
    if let Some(parent) = current() {
        request.extensions_mut().insert(parent);
    }
    let response = next.run(request).await;
    let milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    span.record("status", response.status().as_u16());
    tracing::info!(parent: &span, milliseconds, "answered");
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
        let injected: TraceParent = headers[HEADER].to_str().unwrap().parse().unwrap();
        assert_eq!(injected.trace_id(), parent.trace_id());
        assert_ne!(injected.parent_id(), parent.parent_id(), "what is called is a part of the work, not of its parent");
    }
}
