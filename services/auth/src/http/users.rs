//! `/users`: the caller's own account, and other people's public side. Open to everybody who is logged in.

use axum::Json as Answer;
use axum::extract::State;
use contract::id::UserId;
use contract::page::{Cursor, Page, PageQuery};
use contract::problem::Problem;
use contract::user::{Me, User};
use runtime::extract::{Json, Path, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::caller::Caller;
use super::fields::Faults;
use super::register::taken;
use super::{answer_as_problem, unavailable};
use crate::accounts::{DisplayName, NameKey, NewAvatar, UniqueName, Username};
use crate::people::{self, Position};
use crate::state::AppState;
use crate::store::users::{ProfileChange, WriteUserError};

const DEFAULT_LIMIT: u32 = 20;
const HIGHEST_LIMIT: u32 = 100;
/// No name is longer.
const LONGEST_QUERY: usize = 64;

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("no such user")]
    NotFound,
    #[error("taken by another account: {0:?}")]
    Taken(Vec<UniqueName>),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// 200 with the caller's account.
pub(super) async fn me(State(state): State<AppState>, Caller(session): Caller) -> Result<Answer<Me>, RouteError> {
    let account = state.users.get(session.user).await?.ok_or(RouteError::NotFound)?;
    Ok(Answer(account.own()))
}

/// What may be changed. `email` is named to be refused: a new address has to be proved first.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ProfileChange")]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    username: Option<String>,
    display_name: Option<String>,
    /// `null` takes the picture away.
    #[serde(default, deserialize_with = "present")]
    avatar_id: Option<NewAvatar>,
    #[schemars(skip)]
    email: Option<serde::de::IgnoredAny>,
}

/// Tells `null` from a field that is not there.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// 200 with the caller's account as it is after the change.
pub(super) async fn change_me(
    State(state): State<AppState>,
    Caller(session): Caller,
    Json(change): Json<Change>,
) -> Result<Answer<Me>, RouteError> {
    let mut faults = Faults::default();
    if change.email.is_some() {
        faults.add("email", "cannot be changed here: use POST /api/v1/auth/change-email");
    }
    let change = ProfileChange {
        username: faults.optional("username", change.username.as_deref(), Username::parse),
        display_name: faults.optional("displayName", change.display_name.as_deref(), DisplayName::parse),
        avatar: change.avatar_id,
    };
    if faults != Faults::default() {
        return Err(RouteError::Invalid(faults));
    }
    let account = state.users.change_profile(session.user, &change, state.clock.now()).await?;
    let account = account.ok_or(RouteError::NotFound)?;
    // What is told is the account as it is, so that it does not matter if this one is lost and the next one is not.
    state.users.tell(account.id, &state.events.envelope(account.updated())).await?;
    state.events.wake(account.id);
    Ok(Answer(account.own()))
}

/// 200 with the user of this id.
pub(super) async fn by_id(
    State(state): State<AppState>,
    Caller(_): Caller,
    Path(id): Path<UserId>,
) -> Result<Answer<User>, RouteError> {
    let account = state.users.get(id).await?.ok_or(RouteError::NotFound)?;
    Ok(Answer(account.public()))
}

/// `?query=&cursor=&limit=`
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UserSearch")]
pub(super) struct Search {
    #[schemars(required)]
    query: Option<String>,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// 200 with a page of the people whose user name or display name begins with `query`.
pub(super) async fn find(
    State(state): State<AppState>,
    Caller(_): Caller,
    Query(search): Query<Search>,
) -> Result<Answer<Page<User>>, RouteError> {
    let mut faults = Faults::default();
    let prefix = faults.required("query", search.query.as_deref(), |query| match query.trim() {
        "" => Err("must not be empty"),
        query if query.chars().count() > LONGEST_QUERY => Err("must have at most 64 characters"),
        query => Ok(NameKey::of(query)),
    });
    let page = PageQuery { cursor: search.cursor, limit: search.limit };
    let position = page.position::<Position>();
    if position.is_err() {
        faults.add("cursor", "is not a cursor of this list");
    }
    let (Some(prefix), Ok(position)) = (prefix, position) else {
        return Err(RouteError::Invalid(faults));
    };
    let limit = page.limit(DEFAULT_LIMIT, HIGHEST_LIMIT);
    Ok(Answer(people::find(&state.users, &prefix, position, limit).await?))
}

impl From<WriteUserError> for RouteError {
    fn from(error: WriteUserError) -> Self {
        match error {
            WriteUserError::Taken(names) => Self::Taken(names),
            WriteUserError::Database(error) => Self::Database(error),
        }
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::NotFound => Self::not_found("There is no such user."),
            RouteError::Taken(names) => taken(&names),
            RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError);
