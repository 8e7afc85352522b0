//! The way of a request through the gateway, top to bottom.

use std::net::{IpAddr, SocketAddr};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
};
use contract::problem::{CONTENT_TYPE, Problem};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use runtime::{identity::Identity, metrics, problem::ApiError, trace};

use crate::{
    authentication::{authorise, identify},
    client_address::client_address,
    error::{GatewayError, RedisAway},
    headers, limits,
    rate_limit::{self, Allowance},
    routes::{self, Class, Found, Route},
    service::Gateway,
    tunnel,
};

/// Answers every request there is.
pub async fn answer(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(mut preflight) = gateway.cors.preflight(&parts.method, &parts.headers) {
        gateway.cors.decorate(&parts.headers, preflight.headers_mut());
        return preflight;
    }
    let asked = parts.headers.clone();
    let mut response = match routes::find(&parts.method, parts.uri.path()) {
        Found::Route(route) => {
            let mut response = along(route, &gateway, peer, Request::from_parts(parts, body)).await;
            response.extensions_mut().insert(metrics::Route(route.prefix));
            response
        }
        Found::OtherMethods(methods) => {
            let allow = methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(", ");
            let allow = HeaderValue::from_str(&allow).unwrap_or(HeaderValue::from_static(""));
            ApiError::from(GatewayError::Method).header(header::ALLOW, allow).into_response()
        }
        Found::Nothing => ApiError::from(GatewayError::NoRoute).into_response(),
    };
    headers::secure(response.headers_mut());
    gateway.cors.decorate(&asked, response.headers_mut());
    response
}

/// One request along its route, with what the client may still do said on the answer, whatever it is.
async fn along(route: &'static Route, gateway: &Gateway, peer: SocketAddr, request: Request) -> Response {
    let mut allowance = None;
    let outcome = steps(route, gateway, peer, request, &mut allowance).await;
    let mut response = outcome.unwrap_or_else(|error| {
        gateway.count_refusal(route, &error);
        ApiError::from(error).into_response()
    });
    if let Some(allowance) = allowance {
        rate_limit::decorate(response.headers_mut(), route.class, gateway.rate_limits.of(route.class), allowance);
    }
    response
}

async fn steps(
    route: &'static Route,
    gateway: &Gateway,
    peer: SocketAddr,
    request: Request,
    allowance: &mut Option<Allowance>,
) -> Result<Response, GatewayError> {
    let (mut parts, body) = request.into_parts();
    let body_limit = gateway.limits.body(route.class);
    limits::check(&parts.uri, &parts.headers, &gateway.limits, body_limit)?;
    let client = client_address(peer, &parts.headers, &gateway.trusted_proxies);
    let identity = identify(route.access, &parts.headers, &gateway.verifier);
    // Who has no good token is counted by address before being refused: guessing tokens is not for free.
    let known = identity.as_ref().ok().and_then(Option::as_ref);
    check_with_redis(route, gateway, client, known, allowance).await?;
    authorise(route.access, identity?.as_ref())?;

    rewrite(&mut parts, client);
    let wants_upgrade = route.class == Class::Socket && headers::asks_for_websocket(&parts.headers);
    let mut request = Request::from_parts(parts, limits::limited(body, body_limit));
    let deadline = gateway.limits.deadline(route.class);
    if wants_upgrade {
        let client_side = tunnel::prepare(&mut request)?;
        let response = gateway.proxy.forward(route.upstream, request, deadline, body_limit).await?;
        return Ok(answer_of(route, gateway.tunnels.join(client_side, response).map(Body::new)));
    }
    headers::strip_hop_by_hop(request.headers_mut());
    let response = gateway.proxy.forward(route.upstream, request, deadline, body_limit).await?;
    Ok(answer_of(route, response.map(Body::new)))
}

/// Limits and revocation in one question. Without Redis, limits are counted here; but a session that may have ended opens
/// nothing.
async fn check_with_redis(
    route: &Route,
    gateway: &Gateway,
    client: IpAddr,
    identity: Option<&Identity>,
    allowance: &mut Option<Allowance>,
) -> Result<(), GatewayError> {
    let rate = gateway.rate_limits.of(route.class);
    let key = rate_limit::key(route.class, identity.map(|identity| identity.user_id), client);
    let asked = gateway.redis.ask(&key, rate, identity.map(|identity| identity.session_id)).await;
    let (left, revoked) = match asked {
        Ok((left, revoked)) => (left, Ok(revoked)),
        Err(away) => (gateway.local_limiter.take(&key, rate), unknown(identity, away)),
    };
    *allowance = Some(left);
    if !left.allowed {
        return Err(GatewayError::RateLimited(route.class.name()));
    }
    if revoked? { Err(GatewayError::Revoked) } else { Ok(()) }
}

fn unknown(identity: Option<&Identity>, away: RedisAway) -> Result<bool, GatewayError> {
    if identity.is_some() { Err(GatewayError::RevocationUnknown(away)) } else { Ok(false) }
}

/// What the service behind shall see: our word on where the request comes from, no claim of identity but the token.
fn rewrite(parts: &mut Parts, client: IpAddr) {
    let host = parts.headers.get(header::HOST).cloned();
    let proto = headers::proto(&parts.headers);
    headers::strip_identity(&mut parts.headers);
    headers::set_origin(&mut parts.headers, client, host.as_ref(), proto);
    trace::inject(&mut parts.headers);
}

/// The service's answer as the client gets it. Errors that are not problems become problems; Socket.IO's own protocol has
/// errors of its own, which its clients understand.
fn answer_of(route: &Route, mut response: Response) -> Response {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        headers::strip_hop_by_hop(response.headers_mut());
        tunnel::ask_for_upgrade(response.headers_mut());
        return response;
    }
    headers::strip_hop_by_hop(response.headers_mut());
    let is_error = status.is_client_error() || status.is_server_error();
    // 416 of a range carries its meaning in headers.
    if is_error
        && route.class != Class::Socket
        && status != StatusCode::RANGE_NOT_SATISFIABLE
        && !is_problem(response.headers())
    {
        let title = status.canonical_reason().unwrap_or("Error");
        let code = title.to_ascii_lowercase().replace(|character: char| !character.is_ascii_alphanumeric(), "-");
        return ApiError::from(Problem::new(status, &code, title)).into_response();
    }
    response
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(CONTENT_TYPE.as_bytes()))
}
