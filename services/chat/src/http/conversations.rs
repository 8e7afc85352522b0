//! `/conversations`, `/conversations/{id}`, `/conversations/{id}/read` and `/conversations/{id}/mute`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use contract::conversation::{Conversation, Mute, NewConversation, Read};
use contract::id::ConversationId;
use contract::page::{Page, PageQuery};
use runtime::extract::{Json, Path, Query};
use runtime::identity::Identity;
use runtime::problem::ApiResult;
use serde::{Deserialize, Serialize};

use super::{IdempotencyKey, bad_cursor};
use crate::conversations::Revision;
use crate::state::AppState;
use crate::store::Activity;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/conversations", get(list).post(open))
        .route("/conversations/{id}", get(show).patch(rename).delete(remove))
        .route("/conversations/{id}/read", put(mark_read))
        .route("/conversations/{id}/mute", put(mute).delete(unmute))
}

/// The caller's conversations, the liveliest first. Any user.
async fn list(
    State(state): State<AppState>,
    me: Identity,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<Conversation>>> {
    let limit = page.limit(50, 100);
    let after = page.position::<Activity>().map_err(bad_cursor)?;
    let found = state.conversations.list(me.user_id, after, limit + 1).await?;
    let Page { items, next_cursor } = Page::from_one_more(found, limit, |(place, _)| *place);
    Ok(Json(Page { items: items.into_iter().map(|(_, conversation)| conversation).collect(), next_cursor }))
}

/// Opens a conversation: 201, or 200 with the one that is there. Any user.
async fn open(
    State(state): State<AppState>,
    me: Identity,
    IdempotencyKey(key): IdempotencyKey,
    Json(wish): Json<NewConversation>,
) -> ApiResult<(StatusCode, Json<Conversation>)> {
    let opened = state.conversations.open(wish, me.user_id, key).await?;
    let status = if opened.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(opened.conversation)))
}

/// One conversation. Its members.
async fn show(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
) -> ApiResult<Json<Conversation>> {
    Ok(Json(state.conversations.get(id, me.user_id).await?))
}

#[derive(Deserialize)]
struct Rename {
    title: Option<String>,
}

/// Renames a group; `title: null` takes the name away. Its admins and owner.
async fn rename(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Json(Rename { title }): Json<Rename>,
) -> ApiResult<Json<Conversation>> {
    Ok(Json(state.conversations.revise(id, me.user_id, Revision::Rename(title)).await?))
}

/// Deletes a group for everybody. Its owner.
async fn remove(State(state): State<AppState>, me: Identity, Path(id): Path<ConversationId>) -> ApiResult<StatusCode> {
    state.conversations.revise(id, me.user_id, Revision::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    conversation_id: ConversationId,
    seq: u64,
}

/// Marks everything up to a number as read by the caller; a mark never goes back. Members.
async fn mark_read(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Json(Read { seq }): Json<Read>,
) -> ApiResult<Json<Mark>> {
    let seq = state.conversations.read(id, me.user_id, seq).await?;
    Ok(Json(Mark { conversation_id: id, seq }))
}

/// Mutes the conversation for the caller: no notifications but of mentions. Members.
async fn mute(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Json(mute): Json<Mute>,
) -> ApiResult<Json<Conversation>> {
    Ok(Json(state.conversations.mute(id, me.user_id, Some(mute)).await?))
}

/// Ends that. Members.
async fn unmute(State(state): State<AppState>, me: Identity, Path(id): Path<ConversationId>) -> ApiResult<StatusCode> {
    state.conversations.mute(id, me.user_id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
