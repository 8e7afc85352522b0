//! The client of the API server, made for a process that rests most of the time.
//!
//! kube's own keeps every connection that a run of the pipeline opened, with buffers as large as the longest answer it has read. This
//! one keeps one idle connection, with buffers that stay small.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Response};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder};

use crate::telemetry::Metrics;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(10);
/// The most that is read ahead, in bytes; longer answers are read in pieces.
const BUFFER: usize = 16 * 1024;

/// A client of the API server that `config` names.
///
/// Answers 429, 503 and 504 are tried again after a pause, as kube's own client does. Each try is counted.
///
/// # Errors
/// Certificates or credentials of `config` cannot be used.
pub fn connect(config: Config, metrics: Arc<Metrics>) -> Result<Client, kube::Error> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(config.connect_timeout);
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .http1_max_buf_size(BUFFER)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(RetryPolicy::server_retry()))
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(Counted { inner: http, metrics });
    Ok(Client::new(service, config.default_namespace))
}

/// Counts requests and how they were answered.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (metrics, method) = (self.metrics.clone(), request.method().clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            metrics.asked(method.as_str(), answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_method_and_answer() {
        let metrics = Arc::new(Metrics::new("0.1.0"));
        let inner = service_fn(|request: Request<u16>| async move {
            let status = *request.body();
            if status == 0 { Err("broken") } else { Ok(Response::builder().status(status).body(()).unwrap()) }
        });
        let service = Counted { inner, metrics: metrics.clone() };
        for (method, status) in [("PATCH", 200), ("PATCH", 200), ("GET", 403), ("GET", 0)] {
            let request = Request::builder().method(method).body(status).unwrap();
            // Whether it succeeds is the caller's concern.
            let _ = service.clone().oneshot(request).await;
        }
        let text = metrics.text();
        for line in [
            r#"chatplatform_operator_api_requests_total{method="PATCH",code="200"} 2"#,
            r#"chatplatform_operator_api_requests_total{method="GET",code="403"} 1"#,
            r#"chatplatform_operator_api_requests_total{method="GET",code="error"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
