//! `/admin/users/{id}/sessions`: where somebody is logged in. Open to moderators, and where the account is a moderator's or
//! an admin's, ending is open to admins alone.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use contract::id::{SessionId, UserId};
use contract::page::Page;
use runtime::extract::Path;

use super::RouteError;
use super::in_charge::Moderator;
use crate::http::sessions::View;
use crate::state::AppState;

/// 200 with the user's sessions, newest first, all on one page.
pub(super) async fn list(
    State(state): State<AppState>,
    Moderator(_): Moderator,
    Path(id): Path<UserId>,
) -> Result<Answer<Page<View>>, RouteError> {
    let sessions = state.administration.sessions(id).await?;
    let items = sessions.into_iter().map(|session| View::new(session, None)).collect();
    Ok(Answer(Page { items, next_cursor: None }))
}

/// 204 once all of them are over.
pub(super) async fn end_all(
    State(state): State<AppState>,
    Moderator(by): Moderator,
    Path(id): Path<UserId>,
) -> Result<StatusCode, RouteError> {
    state.administration.end_sessions(&by, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 204 once this one is over.
pub(super) async fn end(
    State(state): State<AppState>,
    Moderator(by): Moderator,
    Path((id, session)): Path<(UserId, SessionId)>,
) -> Result<StatusCode, RouteError> {
    state.administration.end_session(&by, id, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
