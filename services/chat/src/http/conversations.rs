//! `/conversations`, `/conversations/{id}`, `/conversations/{id}/read` and `/conversations/{id}/mute`.

use axum::extract::State;
use axum::http::StatusCode;
use contract::conversation::{Conversation, Mute, NewConversation, Read};
use contract::id::ConversationId;
use contract::page::{Page, PageQuery};
use runtime::extract::{Json, Path, Query};
use runtime::idempotency::IdempotencyKey;
use runtime::identity::Identity;
use runtime::openapi::refusals::{AWAY, FORBIDDEN, INVALID, NO_SESSION, NOT_FOUND};
use runtime::openapi::{Api, delete, get, patch, post, put};
use runtime::problem::ApiResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bad_cursor;
use crate::conversations::Revision;
use crate::state::AppState;
use crate::store::Activity;

pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/conversations",
        [
            get("List one's conversations, the liveliest first", list)
                .query::<PageQuery>()
                .answers::<Page<Conversation>>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, AWAY]),
            post("Open a conversation, or find the one between two people", open)
                .body::<NewConversation>()
                .answers::<Conversation>(StatusCode::OK)
                .answers::<Conversation>(StatusCode::CREATED)
                .answered_once()
                .problems([INVALID, NO_SESSION, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}",
        [
            get("A conversation", show).answers::<Conversation>(StatusCode::OK).problems([NO_SESSION, NOT_FOUND, AWAY]),
            patch("Rename a group", rename)
                .body::<Rename>()
                .answers::<Conversation>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, FORBIDDEN, NOT_FOUND, AWAY]),
            delete("Delete a group for everybody", remove)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([NO_SESSION, FORBIDDEN, NOT_FOUND, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}/read",
        [put("Mark everything up to a number as read", mark_read)
            .body::<Read>()
            .answers::<Mark>(StatusCode::OK)
            .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY])],
    )
    .route(
        "/api/v1/conversations/{id}/mute",
        [
            put("Mute a conversation, mentions excepted", mute)
                .body::<Mute>()
                .answers::<Conversation>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY]),
            delete("Hear of a conversation again", unmute)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([NO_SESSION, NOT_FOUND, AWAY]),
        ],
    )
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

/// Opens a conversation: 201, or 200 with the one that is there. Any user. A group knows the key it was opened by, so that it is opened once
/// even if the process dies before its answer is kept.
async fn open(
    State(state): State<AppState>,
    me: Identity,
    key: Option<IdempotencyKey>,
    Json(wish): Json<NewConversation>,
) -> ApiResult<(StatusCode, Json<Conversation>)> {
    let opened = state.conversations.open(wish, me.user_id, key.map(String::from)).await?;
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

#[derive(Deserialize, JsonSchema)]
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

/// How far the caller has read.
#[derive(Serialize, JsonSchema)]
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
