//! Passing a request on and its answer back, both as streams.

use std::{error::Error as _, str::FromStr, time::Duration};

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, Method, Request, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{error::GatewayError, routes::Upstream, settings::Upstreams};

/// Services are in the same cluster: a connection takes a millisecond or is not to be had.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Shorter than the services keep idle connections (75 s), so that none is used that is just being closed.
const KEEP_IDLE: Duration = Duration::from_secs(30);
const KEEP_IDLE_PER_HOST: usize = 256;

/// The base URL of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    authority: Authority,
    host: HeaderValue,
}

/// The text is not a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL like http://acme-chat:8080, without a path")]
pub struct InvalidBase;

impl FromStr for Base {
    type Err = InvalidBase;

    fn from_str(text: &str) -> Result<Self, InvalidBase> {
        let uri: Uri = text.parse().map_err(|_| InvalidBase)?;
        let parts = uri.into_parts();
        let bare = parts.path_and_query.is_none_or(|path| path == "/");
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if scheme == Scheme::HTTP && bare => {
                let host = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidBase)?;
                Ok(Self { authority, host })
            }
            _ => Err(InvalidBase),
        }
    }
}

/// A pool of connections to the services. Clones share it.
#[derive(Debug, Clone)]
pub struct Proxy {
    client: Client<HttpConnector, Body>,
    bases: [Base; 4],
}

impl Proxy {
    /// A pool for these services.
    pub fn new(upstreams: &Upstreams) -> Result<Self, InvalidBase> {
        let base = |upstream: Upstream| upstreams.of(upstream).parse::<Base>();
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(KEEP_IDLE_PER_HOST)
            .build(connector);
        let bases =
            [base(Upstream::Auth)?, base(Upstream::Chat)?, base(Upstream::Media)?, base(Upstream::Notification)?];
        Ok(Self { client, bases })
    }

    /// Sends a request to `upstream` and returns its answer once the head is there, within `deadline`. A request without
    /// a body that may safely be repeated is, once, if its connection failed.
    pub async fn forward(
        &self,
        upstream: Upstream,
        mut request: Request<Body>,
        deadline: Duration,
        body_limit: u64,
    ) -> Result<Response<Incoming>, GatewayError> {
        self.address(upstream, &mut request)?;
        let again = repeatable(&request);
        let work = async {
            match (self.client.request(request).await, again) {
                (Err(error), Some(again)) if is_worth_another(&error) => {
                    tracing::debug!(
                        upstream = upstream.name(),
                        error = runtime::telemetry::chain(&error),
                        "trying once more"
                    );
                    self.client.request(again).await
                }
                (outcome, _) => outcome,
            }
        };
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(blame(upstream, error, body_limit)),
            Err(_) => Err(GatewayError::Timeout(upstream)),
        }
    }

    fn address(&self, upstream: Upstream, request: &mut Request<Body>) -> Result<(), GatewayError> {
        let base = match upstream {
            Upstream::Auth => &self.bases[0],
            Upstream::Chat => &self.bases[1],
            Upstream::Media => &self.bases[2],
            Upstream::Notification => &self.bases[3],
        };
        let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() =
            Uri::builder().scheme(Scheme::HTTP).authority(base.authority.clone()).path_and_query(target).build()?;
        *request.version_mut() = http::Version::HTTP_11;
        request.headers_mut().insert(header::HOST, base.host.clone());
        request.headers_mut().remove(header::EXPECT);
        Ok(())
    }
}

/// A second copy of a request that may safely be sent twice (RFC 9110, section 9.2.1) and has no body that was streamed
/// away.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !safe || !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::new(Body::empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

/// A pod that has just gone refuses or breaks off; the next connection may reach another. Who did not answer a connection
/// within its time will not do so now.
fn is_worth_another(error: &Error) -> bool {
    !error.is_connect()
        || cause::<std::io::Error>(error).is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn blame(upstream: Upstream, error: Error, body_limit: u64) -> GatewayError {
    if cause::<LengthLimitError>(&error).is_some() {
        return GatewayError::Body(body_limit);
    }
    if error.is_connect() {
        return GatewayError::Unreachable(upstream, error);
    }
    match cause::<hyper::Error>(&error) {
        Some(cause) if cause.is_user() => GatewayError::Aborted(error),
        _ => GatewayError::BadGateway(upstream, error),
    }
}

/// The first error of type `T` among the causes.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_base_has_a_host_and_no_path() {
        for text in ["http://acme-chat:8080", "http://127.0.0.1:1/", "http://[::1]:8080"] {
            assert!(text.parse::<Base>().is_ok(), "{text}");
        }
        for text in ["", "acme-chat:8080", "https://acme-chat", "http://acme-chat/api", "http://", "/api"] {
            assert_eq!(text.parse::<Base>(), Err(InvalidBase), "{text}");
        }
    }

    #[test]
    fn only_what_may_safely_be_sent_twice_is() {
        let request = |method: Method, body: &'static str| {
            let body = if body.is_empty() { Body::empty() } else { Body::from(body) };
            Request::builder().method(method).uri("http://a/b?c").header("x", "y").body(body).unwrap()
        };
        let again = repeatable(&request(Method::GET, "")).unwrap();
        assert_eq!(
            (again.uri().to_string().as_str(), &again.headers()["x"]),
            ("http://a/b?c", &HeaderValue::from_static("y"))
        );
        assert!(repeatable(&request(Method::POST, "")).is_none());
        assert!(repeatable(&request(Method::DELETE, "")).is_none());
        assert!(repeatable(&request(Method::GET, "body")).is_none());
    }
}
