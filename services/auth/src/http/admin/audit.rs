//! `/admin/audit`: what those in charge did. Open to admins.

use axum::Json as Answer;
use axum::extract::State;
use contract::id::{AuditId, UserId};
use contract::page::{Cursor, Page, PageQuery};
use jiff::Timestamp;
use runtime::extract::Query;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteError;
use super::in_charge::Admin;
use crate::audit::{Act, Actor, Entry};
use crate::state::AppState;

const DEFAULT_LIMIT: u32 = 50;
const HIGHEST_LIMIT: u32 = 200;

/// An entry.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(super) struct View {
    id: AuditId,
    at: Timestamp,
    actor: Actor,
    #[serde(flatten)]
    act: Act,
    #[serde(rename = "userId")]
    user_id: UserId,
}

/// `?userId=&cursor=&limit=`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AuditSearch")]
#[serde(rename_all = "camelCase")]
pub(super) struct Search {
    user_id: Option<UserId>,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// 200 with a page of entries, newest first: all, or those of what was done by or to one user.
pub(super) async fn list(
    State(state): State<AppState>,
    Admin(_): Admin,
    Query(search): Query<Search>,
) -> Result<Answer<Page<View>>, RouteError> {
    let page = PageQuery { cursor: search.cursor, limit: search.limit };
    let limit = page.limit(DEFAULT_LIMIT, HIGHEST_LIMIT);
    let found = state.administration.log(search.user_id, page.position()?, limit + 1).await?;
    let page = Page::from_one_more(found, limit, |last| last.id);
    Ok(Answer(Page { items: page.items.into_iter().map(View::from).collect(), next_cursor: page.next_cursor }))
}

impl From<Entry> for View {
    fn from(entry: Entry) -> Self {
        Self { id: entry.id, at: entry.at, actor: entry.actor, act: entry.act, user_id: entry.subject }
    }
}
