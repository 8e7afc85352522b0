//! Who calls: the bearer of an access token whose session is still there.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use contract::problem::Problem;
use runtime::identity::Identity;
use runtime::problem::ApiError;

use super::unavailable;
use crate::sessions::{Session, Sessions};
use crate::state::AppState;

/// The caller's session. The token's signature is not enough here: the database is asked whether the session has
/// ended, so that these routes do not depend on Redis to know.
#[derive(Debug)]
pub(super) struct Caller(pub(super) Session);

#[derive(Debug, thiserror::Error)]
enum CallerError {
    #[error("the session is over")]
    SessionOver,
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let session = Sessions::from_ref(state).live(identity.session_id).await.map_err(CallerError::from)?;
        Ok(Self(session.ok_or(CallerError::SessionOver)?))
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::SessionOver => {
                Self::new(StatusCode::UNAUTHORIZED, "session-revoked", "The session is over: log in again")
            }
            CallerError::Database(_) => unavailable(),
        }
    }
}
