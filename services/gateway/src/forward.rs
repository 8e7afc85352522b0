//! Forwarding: the request goes to its service as it is, less what belongs to the connection, and the answer comes back so.
//! Bodies are streamed both ways.

mod headers;
mod tunnel;

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use contract::problem::Problem;
use http::{Method, StatusCode, Uri, header, uri::PathAndQuery};
use http_body::Body as _;
use http_body_util::{LengthLimitError, Limited};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use runtime::{problem::ApiError, shutdown::Shutdown};

use crate::{
    client_address::ClientAddress,
    routes::{Class, Route, Upstream},
    settings::{Limits, Upstreams},
};

/// How long connecting to a service may take: it is in the same cluster.
const CONNECT: Duration = Duration::from_secs(2);
/// Idle connections are closed before the services, who keep them for 75 seconds, close them under our feet.
const IDLE: Duration = Duration::from_secs(60);

/// What forwarding needs.
#[derive(Clone)]
pub(crate) struct Forwarder {
    client: Client<HttpConnector, Body>,
    upstreams: Arc<Upstreams>,
    limits: Limits,
    shutdown: Shutdown,
}

/// Why a request could not be forwarded, or its answer not be had.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("the request leads to no service")]
    NoRoute,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the path cannot be sent on")]
    Path(#[source] http::Error),
    #[error("{name} cannot be reached", name = .0.name())]
    Unreachable(Upstream, #[source] legacy::Error),
    #[error("{name} broke off", name = .0.name())]
    BrokeOff(Upstream, #[source] legacy::Error),
    #[error("{name} did not answer within {1:?}", name = .0.name())]
    TimedOut(Upstream, Duration),
    #[error("{name} answered {1} without a problem body", name = .0.name())]
    Unexplained(Upstream, StatusCode),
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::NoRoute => Self::not_found("No route leads here."),
            ForwardError::TooLarge(limit) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The request is too large")
                    .detail(format!("At most {limit} bytes are taken here."))
            }
            ForwardError::Path(_) => Self::malformed_request("The path or the query cannot be read."),
            ForwardError::Unreachable(upstream, _) => {
                Self::unavailable(format!("The {} service cannot be reached. Try again in a moment.", upstream.name()))
            }
            ForwardError::BrokeOff(upstream, _) | ForwardError::Unexplained(upstream, _) => {
                Self::new(StatusCode::BAD_GATEWAY, "bad-gateway", "A part of the platform failed")
                    .detail(format!("The {} service did not complete its answer.", upstream.name()))
            }
            ForwardError::TimedOut(upstream, _) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream-timeout", "A part of the platform is too slow")
                    .detail(format!("The {} service did not answer in time.", upstream.name()))
            }
        }
    }
}

impl Forwarder {
    pub(crate) fn new(upstreams: Upstreams, limits: Limits, shutdown: Shutdown) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
        Self { client, upstreams: Arc::new(upstreams), limits, shutdown }
    }

    async fn forward(&self, request: Request) -> Result<Response, ForwardError> {
        let route = *request.extensions().get::<&'static Route>().ok_or(ForwardError::NoRoute)?;
        let is_upload = route.class(request.method()) == Class::Upload;
        let (limit, deadline) = if is_upload {
            (self.limits.upload_bytes, self.limits.upload_seconds)
        } else {
            (self.limits.body_bytes, self.limits.answer_seconds)
        };
        let request = self.outgoing(route, request, limit)?;
        let deadline = Duration::from_secs(deadline);
        let answered = tokio::time::timeout(deadline, self.send(route.upstream, request, limit)).await;
        let response = answered.map_err(|_| ForwardError::TimedOut(route.upstream, deadline))??;
        explain(route.upstream, &response)?;
        Ok(response)
    }

    /// The request as the service gets it.
    fn outgoing(&self, route: &Route, request: Request, limit: usize) -> Result<Request, ForwardError> {
        let declared = request.body().size_hint().lower();
        if declared > limit as u64 {
            return Err(ForwardError::TooLarge(limit));
        }
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let base = self.upstreams.url(route.upstream).trim_end_matches('/');
        let uri: Uri = format!("{base}{path}").parse().map_err(|error| ForwardError::Path(http::Error::from(error)))?;
        let client = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let upgrade = tunnel::asked_for(&parts.headers);
        headers::to_service(&mut parts.headers, client, upgrade.clone());
        runtime::trace::inject(&mut parts.headers);
        let mut outgoing = Request::builder().method(parts.method).uri(uri);
        if let Some(headers) = outgoing.headers_mut() {
            *headers = parts.headers;
        }
        if let (Some(pending), Some(extensions)) = (parts.extensions.remove::<hyper::upgrade::OnUpgrade>(), outgoing.extensions_mut())
            && upgrade.is_some()
        {
            extensions.insert(pending);
        }
        let body = if declared == 0 && body.is_end_stream() { Body::empty() } else { Body::new(Limited::new(body, limit)) };
        outgoing.body(body).map_err(ForwardError::Path)
    }

    async fn send(&self, upstream: Upstream, mut request: Request, limit: usize) -> Result<Response, ForwardError> {
        let client_side = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
        let again = repeatable(&request);
        let answer = match (self.client.request(request).await, again) {
            // Nothing has reached the service: a pod that has just gone away may have a neighbour.
            (Err(error), Some(again)) if error.is_connect() => self.client.request(again).await,
            (answer, _) => answer,
        };
        let mut response = answer.map_err(|error| failure(upstream, error, limit))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(client_side) = client_side {
                tunnel::open(client_side, hyper::upgrade::on(&mut response), &self.shutdown);
            }
        } else {
            headers::to_client(response.headers_mut());
        }
        Ok(response.map(Body::new))
    }
}

/// The handler behind all layers.
pub(crate) async fn forward(State(forwarder): State<Forwarder>, request: Request) -> Response {
    forwarder.forward(request).await.map_err(ApiError::from).into_response()
}

/// A copy of a request that may be sent twice: safe, and without a body.
fn repeatable(request: &Request) -> Option<Request> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD) && request.body().is_end_stream();
    let mut copy = Request::builder().method(request.method()).uri(request.uri()).body(Body::empty()).ok().filter(|_| safe)?;
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn failure(upstream: Upstream, error: legacy::Error, limit: usize) -> ForwardError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if one.is::<LengthLimitError>() {
            return ForwardError::TooLarge(limit);
        }
        cause = one.source();
    }
    if error.is_connect() { ForwardError::Unreachable(upstream, error) } else { ForwardError::BrokeOff(upstream, error) }
}

/// A service explains its errors by problems; an error without one does not come from a handler.
fn explain(upstream: Upstream, response: &Response) -> Result<(), ForwardError> {
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == contract::problem::CONTENT_TYPE);
    if response.status().is_server_error() && !is_problem {
        return Err(ForwardError::Unexplained(upstream, response.status()));
    }
    Ok(())
}
