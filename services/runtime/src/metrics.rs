//! Metrics in the Prometheus text format, and those that every HTTP service has.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

/// Upper bounds in seconds: from a cached answer to a slow upload.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The registry of a service. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    http: Http,
}

/// The route a request was answered by, put on a response where the router cannot tell (a proxy's table of routes).
#[derive(Debug, Clone, Copy)]
pub struct Route(pub &'static str);

#[derive(Clone)]
struct Http {
    requests: Family<Answer, Counter>,
    durations: Family<Work, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Work {
    method: String,
    route: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry with the metrics of HTTP in it.
    #[must_use]
    pub fn new() -> Self {
        let http = Http {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            in_flight: Gauge::default(),
        };
        let metrics = Self { registry: Arc::default(), http: http.clone() };
        metrics.register("http_requests", "Requests answered", http.requests);
        metrics.register("http_request_duration_seconds", "Time until the answer's head", http.durations);
        metrics.register("http_requests_in_flight", "Requests being answered", http.in_flight);
        metrics
    }

    /// Adds a metric; keep a clone of it to change it. The name has no `_total`: counters get it in the output.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// Adds metrics that are made whenever somebody asks for them.
    pub fn collect(&self, collector: impl Collector) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(collector));
    }

    /// Everything registered, in the `OpenMetrics` text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match encode(&mut text, &registry) {
            Ok(()) => text,
            // Writing to a string does not fail.
            Err(fmt::Error) => String::new(),
        }
    }

    /// The answer of `/metrics`.
    #[must_use]
    pub fn answer(&self) -> Response {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (StatusCode::OK, [(header::CONTENT_TYPE, kind)], self.encode()).into_response()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Counts one down however the request ends, the client going away included.
struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Middleware that measures every request.
pub(crate) async fn layer(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let http = &metrics.http;
    http.in_flight.inc();
    let _in_flight = InFlight(http.in_flight.clone());
    let began = Instant::now();
    let method = method_label(request.method());
    // The pattern, never the path: ids would make a time series each.
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let named = response.extensions().get::<Route>().map(|Route(name)| (*name).to_owned());
    let route = named.or(matched).unwrap_or_else(|| "none".to_owned());
    let work = Work { method: method.clone(), route: route.clone() };
    http.durations.get_or_create(&work).observe(began.elapsed().as_secs_f64());
    http.requests.get_or_create(&Answer { method, route, status: response.status().as_u16() }).inc();
    response
}

/// A client may invent methods; each would be a time series.
fn method_label(method: &http::Method) -> String {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_pattern_and_status() {
        let metrics = Metrics::new();
        let app = Router::new()
            .route("/books/{id}", get(async || StatusCode::NO_CONTENT))
            .layer(middleware::from_fn_with_state(metrics.clone(), layer));
        for path in ["/books/1", "/books/2", "/nowhere"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap();
        }
        let text = metrics.encode();
        for line in [
            r#"http_requests_total{method="GET",route="/books/{id}",status="204"} 2"#,
            r#"http_requests_total{method="GET",route="none",status="404"} 1"#,
            r#"http_request_duration_seconds_count{method="GET",route="/books/{id}"} 2"#,
            "http_requests_in_flight 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_metric_of_the_service_itself_shows_its_value() {
        let metrics = Metrics::new();
        let letters: Counter = Counter::default();
        metrics.register("letters", "Letters sent", letters.clone());
        letters.inc_by(3);
        assert!(metrics.encode().contains("letters_total 3"));
    }
}
