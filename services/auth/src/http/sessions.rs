//! `/auth/sessions`: where the caller is logged in.

use axum::extract::State;
use axum::http::StatusCode;
use contract::id::SessionId;
use contract::page::Page;
use contract::problem::Problem;
use jiff::Timestamp;
use runtime::extract::Path;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::Caller;
use super::{answer_as_problem, unavailable};
use crate::sessions::{EndReason, Session};
use crate::state::AppState;

/// A session as its owner sees it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Session")]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    id: SessionId,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("no such session of the caller")]
    NotFound,
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// 200 with the caller's sessions, newest first, all on one page: a person has few.
pub(super) async fn list(
    State(state): State<AppState>,
    Caller(current): Caller,
) -> Result<axum::Json<Page<View>>, RouteError> {
    let sessions = state.sessions.of_user(current.user).await?;
    let items = sessions.into_iter().map(|session| View::new(session, Some(current.id))).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// 204 once the session is over; 404 for any that is not the caller's.
pub(super) async fn remove(
    State(state): State<AppState>,
    Caller(current): Caller,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, RouteError> {
    let session = state.sessions.live(id).await?.filter(|session| session.user == current.user);
    let session = session.ok_or(RouteError::NotFound)?;
    state.sessions.end(&session, EndReason::Removed).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl View {
    /// `session`, seen from the session `current` of its owner or from somebody else's.
    pub(super) fn new(session: Session, current: Option<SessionId>) -> Self {
        Self {
            current: current == Some(session.id),
            id: session.id,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            address: session.client.address,
            user_agent: session.client.user_agent,
        }
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::not_found("You have no such session."),
            RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError);
