//! `POST /users/me/delete`: the end of the caller's account. Open to whoever is logged in and knows the password.

use axum::extract::State;
use axum::http::StatusCode;
use contract::event::UserDeleted;
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin::last_admin;
use super::caller::Caller;
use super::client::FromClient;
use super::fields::Faults;
use super::{answer_as_problem, confirmation, unavailable};
use crate::credentials::CredentialsError;
use crate::sessions::EndReason;
use crate::state::AppState;
use crate::store::users::AdminError;

/// The body.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DeleteAccount")]
pub(super) struct Body {
    #[schemars(required)]
    password: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("no such account any more")]
    Gone,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// 204 once the account is gone, and all sessions with it. Others are told by `user.deleted` and forget what is theirs to
/// forget.
pub(super) async fn delete(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<StatusCode, RouteError> {
    let mut faults = Faults::default();
    let password = faults.required_text("password", body.password);
    let password = password.ok_or(RouteError::Invalid(faults))?;
    let account = state.users.get(session.user).await?.ok_or(RouteError::Gone)?;
    let account = state.credentials.confirm(account, &password, client.address.as_deref()).await?;
    let told = state.events.envelope(UserDeleted { user_id: account.id });
    state.users.delete(account.id, &told, state.clock.now()).await?;
    state.events.wake(account.id);
    state.sessions.end_all(account.id, EndReason::AccountDeleted).await?;
    state.one_time.forget(account.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Gone | RouteError::Admin(AdminError::NotFound) => Self::not_found("The account is gone."),
            RouteError::Credentials(error) => confirmation::within_session(&error),
            RouteError::Admin(AdminError::LastAdmin) => last_admin(),
            RouteError::Admin(AdminError::Protected) => Self::internal(),
            RouteError::Admin(AdminError::Database(_)) | RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError, credentials);
