//! `/admin/users`: accounts and what they may do.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use contract::claims::Role;
use contract::id::UserId;
use contract::page::{Cursor, Page, PageQuery};
use contract::user::Me;
use jiff::Timestamp;
use runtime::extract::{Json, Path, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteError;
use super::in_charge::{Admin, Moderator};
use crate::accounts::{Account, NameKey};
use crate::http::fields::Faults;
use crate::state::AppState;
use crate::store::users::AccountFilter;

const DEFAULT_LIMIT: u32 = 50;
const HIGHEST_LIMIT: u32 = 200;
/// No address is longer.
const LONGEST_QUERY: usize = 254;
const LONGEST_REASON: usize = 500;

/// An account as those in charge see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    #[serde(flatten)]
    account: Me,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
}

impl View {
    pub(super) fn of(account: &Account) -> Self {
        Self { account: account.own(), disabled_at: account.disabled_at }
    }
}

/// `?query=&role=&disabled=&cursor=&limit=`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AccountSearch")]
pub(super) struct Search {
    query: Option<String>,
    role: Option<Role>,
    disabled: Option<bool>,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// 200 with a page of accounts, newest first: those whose user name or e-mail address begins with `query`, with this
/// `role`, `disabled` or not. Open to moderators and admins.
pub(super) async fn list(
    State(state): State<AppState>,
    Moderator(_): Moderator,
    Query(search): Query<Search>,
) -> Result<Answer<Page<View>>, RouteError> {
    let mut faults = Faults::default();
    let query = search.query.as_deref().map(str::trim).filter(|query| !query.is_empty());
    let beginning = faults.optional("query", query, |query| {
        if query.chars().count() > LONGEST_QUERY {
            Err("must have at most 254 characters")
        } else {
            Ok(NameKey::of(query))
        }
    });
    if faults != Faults::default() {
        return Err(RouteError::Invalid(faults));
    }
    let page = PageQuery { cursor: search.cursor, limit: search.limit };
    let limit = page.limit(DEFAULT_LIMIT, HIGHEST_LIMIT);
    let wanted = AccountFilter { beginning, role: search.role, disabled: search.disabled };
    let found = state.administration.list(&wanted, page.position()?, limit + 1).await?;
    let page = Page::from_one_more(found, limit, |last| last.id);
    Ok(Answer(Page { items: page.items.iter().map(View::of).collect(), next_cursor: page.next_cursor }))
}

/// 200 with the account. Open to moderators and admins.
pub(super) async fn show(
    State(state): State<AppState>,
    Moderator(_): Moderator,
    Path(id): Path<UserId>,
) -> Result<Answer<View>, RouteError> {
    Ok(Answer(View::of(&state.administration.account(id).await?)))
}

/// Why somebody is locked out.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DisableAccount")]
pub(super) struct Disable {
    reason: Option<String>,
}

/// 200 with the account: nobody logs in to it any more, and its sessions are over. Open to moderators, and where the
/// account is a moderator's or an admin's, to admins.
pub(super) async fn disable(
    State(state): State<AppState>,
    Moderator(by): Moderator,
    Path(id): Path<UserId>,
    Json(body): Json<Disable>,
) -> Result<Answer<View>, RouteError> {
    let mut faults = Faults::default();
    let reason = faults.optional("reason", body.reason.as_deref(), |reason| {
        if reason.chars().count() > LONGEST_REASON {
            Err("must have at most 500 characters")
        } else {
            Ok(reason.to_owned())
        }
    });
    if faults != Faults::default() {
        return Err(RouteError::Invalid(faults));
    }
    Ok(Answer(View::of(&state.administration.disable(&by, id, reason).await?)))
}

/// 200 with the account: its owner can log in again. Open as `disable` is.
pub(super) async fn enable(
    State(state): State<AppState>,
    Moderator(by): Moderator,
    Path(id): Path<UserId>,
) -> Result<Answer<View>, RouteError> {
    Ok(Answer(View::of(&state.administration.enable(&by, id).await?)))
}

/// All roles of a user.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Roles")]
pub(super) struct Roles {
    roles: Vec<Role>,
}

/// 200 with the account and its new roles. Open to admins.
pub(super) async fn set_roles(
    State(state): State<AppState>,
    Admin(by): Admin,
    Path(id): Path<UserId>,
    Json(mut body): Json<Roles>,
) -> Result<Answer<View>, RouteError> {
    body.roles.sort_unstable();
    body.roles.dedup();
    if !body.roles.contains(&Role::User) {
        let mut faults = Faults::default();
        faults.add("roles", "must contain \"user\"; to keep somebody out, disable the account");
        return Err(RouteError::Invalid(faults));
    }
    Ok(Answer(View::of(&state.administration.set_roles(&by, id, body.roles).await?)))
}

/// 204 once the user logs in without a second step. Open to admins.
pub(super) async fn remove_second_step(
    State(state): State<AppState>,
    Admin(by): Admin,
    Path(id): Path<UserId>,
) -> Result<StatusCode, RouteError> {
    state.administration.remove_second_step(&by, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
