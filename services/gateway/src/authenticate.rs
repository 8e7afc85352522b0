//! Who the caller is, and whether they may. The token is verified and its session looked up before the rate limit, which
//! counts by identity; it is enforced after it, so that refused requests are counted too.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::{id::SessionId, problem::Problem};
use http::{StatusCode, header};
use redis::{AsyncCommands, aio::ConnectionManager};
use runtime::{
    identity::{Identity, TokenVerifier},
    problem::ApiError,
};

use crate::routes::{Access, Route};

/// What the token of a request is worth.
#[derive(Clone)]
pub(crate) enum Caller {
    /// No token, and none is needed.
    Anonymous,
    /// A valid token of a live session.
    Known(Identity),
    /// A token that is not valid, or of a session that is over; or there is none where one is needed.
    Refused(Problem),
    /// It cannot be said at the moment.
    Unknown(String),
}

/// What the layer needs.
#[derive(Clone)]
pub(crate) struct Authenticator {
    pub(crate) verifier: TokenVerifier,
    pub(crate) redis: ConnectionManager,
}

/// The layer that finds out.
pub(crate) async fn identify(State(authenticator): State<Authenticator>, mut request: Request, next: Next) -> Response {
    let access = request.extensions().get::<&'static Route>().map_or(Access::User, |route| route.access);
    let caller = authenticator.caller(access, &request).await;
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The layer that enforces.
pub(crate) async fn authorise(request: Request, next: Next) -> Response {
    let access = request.extensions().get::<&'static Route>().map_or(Access::User, |route| route.access);
    let refusal = match (access, request.extensions().get::<Caller>()) {
        (Access::Public, _) => None,
        (Access::User, Some(Caller::Known(_))) => None,
        (Access::Role(role), Some(Caller::Known(identity))) if identity.has(role) => None,
        (Access::Role(_), Some(Caller::Known(_))) => {
            Some(Problem::forbidden("Your account does not have the role that this needs.").into())
        }
        (_, Some(Caller::Refused(problem))) => Some(problem.clone().into()),
        // Fails closed: a session that was ended must not live on because Redis is away.
        (_, Some(Caller::Unknown(cause))) => Some(ApiError::unavailable(cause.clone())),
        (_, Some(Caller::Anonymous) | None) => Some(Problem::unauthenticated().into()),
    };
    match refusal {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

impl Authenticator {
    async fn caller(&self, access: Access, request: &Request) -> Caller {
        // A public route takes no notice of a token: a stale one must not keep anybody from logging in.
        if access == Access::Public {
            return Caller::Anonymous;
        }
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Caller::Refused(Problem::unauthenticated());
        }
        match self.verifier.verify_headers(request.headers()) {
            Ok(identity) => match self.is_revoked(identity.session_id).await {
                Ok(false) => Caller::Known(identity),
                Ok(true) => Caller::Refused(session_revoked()),
                Err(error) => Caller::Unknown(format!("cannot look up the session: {error}")),
            },
            Err(error) => Caller::Refused(error.into()),
        }
    }

    async fn is_revoked(&self, session: SessionId) -> redis::RedisResult<bool> {
        self.redis.clone().exists(format!("auth:revoked:{session}")).await
    }
}

fn session_revoked() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "session-revoked", "The session is over: log in again")
}
