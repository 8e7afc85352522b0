//! The client of the API server, made for a process that rests most of the time.
//!
//! kube's own keeps every connection that a run of the pipeline opened, with buffers as large as the longest answer it has read. This
//! one keeps one idle connection, with buffers that stay small.

use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(10);
/// The most that is read ahead, in bytes; longer answers are read in pieces.
const BUFFER: usize = 16 * 1024;

/// A client of the API server that `config` names.
///
/// Answers 429, 503 and 504 are tried again after a pause, as kube's own client does.
///
/// # Errors
/// Certificates or credentials of `config` cannot be used.
pub fn connect(config: Config) -> Result<Client, kube::Error> {
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
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}
