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
    affinity::{self, Session},
    authentication::{authorise, identify},
    client_address::client_address,
    error::{GatewayError, RedisAway},
    headers, limits,
    rate_limit::{self, Allowance},
    routes::{self, Access, Answerer, Class, Found, Route},
    service::Gateway,
    tunnel,
    upstream::Trip,
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
        refusal(error)
    });
    if let Some(allowance) = allowance {
        rate_limit::decorate(response.headers_mut(), route.class, gateway.rate_limits.of(route.class), allowance);
    }
    response
}

fn refusal(error: GatewayError) -> Response {
    let wait = error.retry_after();
    let mut response = ApiError::from(error).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, rate_limit::seconds(wait).max(1).into());
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
    let upstream = match route.answerer {
        Answerer::Service(upstream) => upstream,
        Answerer::Documentation => return gateway.documentation.answer(parts.uri.path()),
    };

    rewrite(&mut parts, client);
    let wants_upgrade = route.class == Class::Socket && headers::asks_for_websocket(&parts.headers);
    let session = match route.class {
        Class::Socket => {
            let (session, uri) = affinity::read(&parts.method, parts.uri);
            parts.uri = uri;
            session
        }
        _ => Session::None,
    };
    let trip = Trip {
        deadline: gateway.limits.deadline(route.class),
        body_limit,
        tag: if let Session::Of(tag) = session { tag } else { None },
        // A poll takes what there is: the next one would miss what the one before it lost on the way.
        may_repeat: !matches!(session, Session::Of(_)),
    };
    let mut request = Request::from_parts(parts, limits::limited(body, body_limit));
    if wants_upgrade {
        let client_side = tunnel::prepare(&mut request)?;
        let answer = gateway.proxy.forward(upstream, request, trip).await?;
        return Ok(answer_of(route, gateway.tunnels.join(client_side, answer).map(Body::new)));
    }
    headers::strip_hop_by_hop(request.headers_mut());
    let answer = gateway.proxy.forward(upstream, request, trip).await?;
    let tag = answer.lease.endpoint().tag();
    let response = answer.carried(gateway.limits.stall());
    if session == Session::Asked {
        let labelled = affinity::label(response, tag).await;
        return Ok(answer_of(route, labelled.map_err(|error| GatewayError::BrokenAnswer(upstream, error))?));
    }
    Ok(answer_of(route, response))
}

/// Limits and revocation in one question. Without Redis, limits are counted here, and sessions gone by as was heard.
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
        Err(away) => (gateway.local_limiter.take(&key, rate), without_redis(route, gateway, identity, away)),
    };
    *allowance = Some(left);
    if !left.allowed {
        return Err(GatewayError::RateLimited(route.class.name()));
    }
    if revoked? { Err(GatewayError::Revoked) } else { Ok(()) }
}

/// Whether a session has ended when Redis cannot tell. One that was not heard to have ended may go on reading for as long as its
/// token lives, which is minutes; a session that may have ended writes nothing, and shows nothing of other people.
fn without_redis(
    route: &Route,
    gateway: &Gateway,
    identity: Option<&Identity>,
    away: RedisAway,
) -> Result<bool, GatewayError> {
    let Some(identity) = identity else { return Ok(false) };
    let only_reads = route.class == Class::Read && route.access == Access::LoggedIn;
    match gateway.revocations.has_ended(identity.session_id) {
        Some(true) => Ok(true),
        Some(false) if only_reads => Ok(false),
        _ => Err(GatewayError::RevocationUnknown(away)),
    }
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
