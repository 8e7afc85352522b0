//! How operations of several services are refused: a status and the codes of the problems that have it.

use http::StatusCode;

/// What is needed to say how an operation is refused.
pub type Refusal = (StatusCode, &'static [&'static str]);

/// A body or a parameter is not as it has to be.
pub const INVALID: Refusal = (StatusCode::BAD_REQUEST, &["validation-failed", "malformed-request"]);

/// No access token, or none that is good.
pub const NO_SESSION: Refusal =
    (StatusCode::UNAUTHORIZED, &["unauthenticated", "invalid-token", "token-expired", "session-revoked"]);

/// The caller may not do this to something that they may see.
pub const FORBIDDEN: Refusal = (StatusCode::FORBIDDEN, &["forbidden"]);

/// It is not there, or nothing that the caller may know of.
pub const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, &["not-found"]);

/// It is not in the state in which this can be done.
pub const CONFLICT: Refusal = (StatusCode::CONFLICT, &["conflict"]);

/// The `Idempotency-Key` came with another request before.
pub const KEY_REUSED: Refusal = (StatusCode::UNPROCESSABLE_ENTITY, &["idempotency-key-reused"]);

/// The first request with the `Idempotency-Key` is under way.
pub const KEY_IN_USE: Refusal = (StatusCode::CONFLICT, &["idempotency-key-in-use"]);

/// A server behind the service does not answer.
pub const AWAY: Refusal = (StatusCode::SERVICE_UNAVAILABLE, &["unavailable"]);
