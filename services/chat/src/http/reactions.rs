//! `.../messages/{messageId}/reactions/{emoji}` and `.../messages/{messageId}/pin`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use contract::id::{ConversationId, MessageId};
use runtime::extract::{Json, Path};
use runtime::identity::Identity;
use runtime::problem::ApiResult;

use crate::messages::{Edit, MessageView};
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/conversations/{id}/messages/{message}/reactions/{emoji}", put(react).delete(unreact))
        .route("/conversations/{id}/messages/{message}/pin", put(pin).delete(unpin))
}

/// Adds the caller's reaction. Members.
async fn react(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message, emoji)): Path<(ConversationId, MessageId, String)>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.edit(id, message, me.user_id, Edit::React(emoji)).await?))
}

/// Takes the caller's reaction away. Members.
async fn unreact(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message, emoji)): Path<(ConversationId, MessageId, String)>,
) -> ApiResult<StatusCode> {
    state.messages.edit(id, message, me.user_id, Edit::Unreact(emoji)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pins a message. Members.
async fn pin(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.edit(id, message, me.user_id, Edit::Pin(true)).await?))
}

/// Unpins it. Members.
async fn unpin(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<StatusCode> {
    state.messages.edit(id, message, me.user_id, Edit::Pin(false)).await?;
    Ok(StatusCode::NO_CONTENT)
}
