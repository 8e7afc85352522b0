//! `POST /auth/change-email`: moving the caller's account to another address. Open to whoever is logged in and knows the
//! password.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::client::FromClient;
use super::fields::Faults;
use super::register::taken;
use super::verify_email::bad_token;
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::Email;
use crate::addresses::{AddressError, Change};
use crate::credentials::CredentialsError;
use crate::state::AppState;

/// The body.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangeEmail")]
pub(super) struct Body {
    #[schemars(required)]
    email: Option<String>,
    #[schemars(required)]
    password: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// 202: a letter is on its way to the new address, and the old one stays until its link is followed. Where the platform
/// sends no mail, 200 with the account, which has the new address.
pub(super) async fn change(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<Response, RouteError> {
    let mut faults = Faults::default();
    let email = faults.required("email", body.email.as_deref(), Email::parse);
    let password = faults.required_text("password", body.password);
    let (Some(email), Some(password)) = (email, password) else { return Err(RouteError::Invalid(faults)) };
    let account = state.users.get(session.user).await?.ok_or(AddressError::Gone)?;
    let account = state.credentials.confirm(account, &password, client.address.as_deref()).await?;
    match state.addresses.ask_change(&account, &email).await? {
        Change::Asked => Ok(StatusCode::ACCEPTED.into_response()),
        Change::Done => {
            let account = state.users.get(account.id).await?.ok_or(AddressError::Gone)?;
            Ok(axum::Json(account.own()).into_response())
        }
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Credentials(error) => confirmation::within_session(&error),
            RouteError::Address(AddressError::Taken(names)) => taken(&names),
            RouteError::Address(AddressError::Gone) => Self::not_found("The account is gone."),
            // The address was changed by another request meanwhile.
            RouteError::Address(AddressError::BadToken) => bad_token(),
            RouteError::Address(AddressError::Database(_)) | RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError, credentials);
