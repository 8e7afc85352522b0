//! `/search/messages`.

use axum::extract::State;
use axum::http::StatusCode;
use contract::id::{ConversationId, MessageId};
use contract::page::{Cursor, Page, PageQuery};
use runtime::extract::{Json, Query};
use runtime::identity::Identity;
use runtime::openapi::refusals::{AWAY, INVALID, NO_SESSION};
use runtime::openapi::{Api, get};
use runtime::problem::ApiResult;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bad_cursor;
use crate::messages::MessageView;
use crate::state::AppState;

pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/search/messages",
        [get("Messages of one's conversations that hold every word of a query, newest first", messages)
            .query::<SearchQuery>()
            .answers::<Page<MessageView>>(StatusCode::OK)
            .problems([INVALID, NO_SESSION, AWAY])],
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SearchQuery {
    #[serde(default)]
    q: String,
    conversation_id: Option<ConversationId>,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// Messages that hold every word of `q`, newest first, in the caller's conversations or in `conversationId` alone. Any user.
async fn messages(
    State(state): State<AppState>,
    me: Identity,
    Query(SearchQuery { q, conversation_id, cursor, limit }): Query<SearchQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let page = PageQuery { cursor, limit };
    let limit = page.limit(20, 100);
    let before = page.position::<MessageId>().map_err(bad_cursor)?;
    let found = state.messages.search(me.user_id, &q, conversation_id, before, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.message.id)))
}
