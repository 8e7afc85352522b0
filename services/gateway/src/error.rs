//! Why the gateway itself refuses, as problems.

use std::time::Duration;

use contract::problem::Problem;
use http::StatusCode;
use runtime::identity::TokenError;

use crate::{routes::Upstream, upstream::Unreachable};

/// When it makes sense to ask a service again that could not be reached.
const SOON: Duration = Duration::from_secs(1);

/// Why a request does not reach its service, or the answer its client.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No route fits.
    #[error("no route leads there")]
    NoRoute,
    /// The path is known, the method is not.
    #[error("the method is not allowed there")]
    Method,
    /// The headers are too large.
    #[error("the headers are larger than {0} bytes")]
    Headers(usize),
    /// Path and query are too long.
    #[error("path and query are longer than {0} bytes")]
    Target(usize),
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    Body(u64),
    /// The client did not send what it said it would.
    #[error("the request ended too early")]
    Aborted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client did not send its body in time.
    #[error("the body of the request did not come in time")]
    ClientTooSlow,
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The session has ended.
    #[error("the session was revoked")]
    Revoked,
    /// Whether the session has ended cannot be told.
    #[error("revoked sessions cannot be looked up")]
    RevocationUnknown(#[source] RedisAway),
    /// The role is missing.
    #[error("the role is missing")]
    Forbidden,
    /// Too many requests.
    #[error("too many requests of class {0}")]
    RateLimited(&'static str),
    /// The service cannot be connected to.
    #[error("{} cannot be reached", .0.name())]
    Unreachable(Upstream, #[source] Unreachable),
    /// The service has failed so often that it is left alone for this long.
    #[error("{} has failed too often and is left alone for {} ms", .0.name(), .1.as_millis())]
    Resting(Upstream, Duration),
    /// The service broke off, or answered something that is no HTTP.
    #[error("{} gave no proper answer", .0.name())]
    BadGateway(Upstream, #[source] hyper_util::client::legacy::Error),
    /// The service broke off in the middle of an answer that has to be read here.
    #[error("{} broke off its answer", .0.name())]
    BrokenAnswer(Upstream, #[source] axum::Error),
    /// The service took too long.
    #[error("{} did not answer in time", .0.name())]
    Timeout(Upstream),
    /// An upgrade was asked for on a connection that cannot be upgraded.
    #[error("this connection cannot be upgraded")]
    NoUpgrade,
    /// A file of the documentation cannot be made.
    #[error("the page cannot be made: {0}")]
    Page(String),
    /// The request cannot be passed on.
    #[error("the request cannot be passed on")]
    NotPassable(#[from] http::Error),
}

/// Redis does not answer.
#[derive(Debug, thiserror::Error)]
pub enum RedisAway {
    /// It failed.
    #[error("Redis failed")]
    Failed(#[from] redis::RedisError),
    /// It took too long.
    #[error("Redis did not answer in time")]
    Timeout,
    /// It failed a moment ago and has been left alone since.
    #[error("Redis failed a moment ago")]
    LeftAlone,
}

impl GatewayError {
    /// When it makes sense to ask again, where that can be told.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Resting(_, wait) => Some(*wait),
            Self::Unreachable(..) | Self::RevocationUnknown(_) => Some(SOON),
            _ => None,
        }
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::NoRoute => Problem::not_found("No route leads here."),
            GatewayError::Method => {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This method is not allowed here")
            }
            GatewayError::Headers(_) => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                Problem::new(status, "headers-too-large", "The headers are too large").detail(sentence(&error))
            }
            GatewayError::Target(_) => {
                Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", "The URI is too long").detail(sentence(&error))
            }
            GatewayError::Body(_) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Problem::new(status, "payload-too-large", "The body is too large").detail(sentence(&error))
            }
            GatewayError::Aborted(_) => Problem::malformed_request("The body could not be read to its end."),
            GatewayError::ClientTooSlow => {
                let status = StatusCode::REQUEST_TIMEOUT;
                Problem::new(status, "request-timeout", "The request took too long").detail(sentence(&error))
            }
            GatewayError::Token(error) => error.into(),
            GatewayError::Revoked => {
                let status = StatusCode::UNAUTHORIZED;
                Problem::new(status, "session-revoked", "The session has ended").detail("Log in again.")
            }
            GatewayError::RevocationUnknown(_) => {
                Problem::unavailable("Sessions cannot be checked. Try again in a moment.")
            }
            GatewayError::Forbidden => Problem::forbidden("This is for moderators and admins."),
            GatewayError::RateLimited(_) => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Problem::new(status, "rate-limited", "Too many requests").detail("Wait as long as Retry-After says.")
            }
            GatewayError::Unreachable(..) | GatewayError::Resting(..) => {
                Problem::unavailable("The service cannot be reached. Try again in a moment.")
            }
            GatewayError::BadGateway(..) | GatewayError::BrokenAnswer(..) => {
                Problem::new(StatusCode::BAD_GATEWAY, "bad-gateway", "The service gave no proper answer")
            }
            GatewayError::Timeout(_) => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "gateway-timeout", "The service took too long to answer")
            }
            GatewayError::Page(_) => Problem::internal(),
            GatewayError::NoUpgrade => Problem::malformed_request("This connection cannot be upgraded."),
            GatewayError::NotPassable(_) => Problem::malformed_request("The request cannot be passed on."),
        }
    }
}

fn sentence(error: &GatewayError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}
