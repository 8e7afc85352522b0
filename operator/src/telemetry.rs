//! The operator's own logs, traces, metrics and probes.

mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::FIELD_MANAGER;
pub use metrics::{Metrics, Trace};

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} is wrong: {cause}. Try one such as info or info,operator=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Traces cannot be sent as the environment says.
    #[error(transparent)]
    Traces(#[from] otlp::Error),
    /// Logging has begun already.
    #[error("logging was set up twice")]
    Twice,
}

/// Begins to log, a JSON object a line on standard output. `filter` is a list of targets with their levels, such as `info,kube=warn`:
/// the richer directives of tracing would keep regular expressions in memory. Each run of the pipeline is sent as a trace to a collector,
/// where the environment names one (see [`otlp`]); the last ones when the answer is dropped.
pub fn init(filter: &str) -> Result<Option<otlp::Rest>, Error> {
    let targets: Targets = filter.parse().map_err(|error: tracing_subscriber::filter::ParseError| Error::Filter {
        filter: filter.to_owned(),
        cause: error.to_string(),
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_filter(targets);
    let traces =
        otlp::Settings::from_environment().map(|settings| otlp::start(FIELD_MANAGER, &settings)).transpose()?;
    let (export, rest) = traces.unzip();
    tracing_subscriber::registry().with(lines).with(export).try_init().map_err(|_| Error::Twice)?;
    Ok(rest)
}

/// Whether the operator can work, and if not, why.
pub type Readiness = watch::Receiver<Result<(), String>>;

/// Serves `/livez`, `/readyz` and `/metrics` until `stop`.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    ready: Readiness,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(metrics, ready)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(metrics: Arc<Metrics>, ready: Readiness) -> Router {
    Router::new()
        // That the runtime answers is all that a restart could mend.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(ready))
        .route("/metrics", get(scrape).with_state(metrics))
}

async fn readyz(State(ready): State<Readiness>) -> Response {
    match ready.borrow().clone() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text()).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    async fn readiness_is_served_with_its_reason_and_the_server_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (readiness, ready) = watch::channel(Err("cannot reach the API server".to_owned()));
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new("0.1.0"));
        let server = tokio::spawn(serve(listener, metrics, ready, stop.clone()));

        // Fails when another test of the process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let fetch = async |path: &str| {
            let response = client.get(format!("{url}{path}")).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        assert_eq!(fetch("/livez").await.0, 200);
        assert_eq!(fetch("/readyz").await, (503, "cannot reach the API server\n".to_owned()));
        readiness.send_modify(|ready| *ready = Ok(()));
        assert_eq!(fetch("/readyz").await.0, 200);
        assert!(fetch("/metrics").await.1.ends_with("# EOF\n"));
        stop.cancel();
        server.await.unwrap().unwrap();
    }

    #[test]
    fn a_wrong_filter_is_an_error_that_shows_it() {
        let message = init("=nonsense=").map(drop).unwrap_err().to_string();
        assert!(message.contains("=nonsense="), "{message}");
    }
}
