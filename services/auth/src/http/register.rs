//! `POST /auth/register`: an account and its first session. Open to everybody, unless the platform leaves it to admins.

use axum::extract::State;
use axum::http::StatusCode;
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Tokens;
use super::client::FromClient;
use super::fields::Faults;
use super::{answer_as_problem, unavailable};
use crate::accounts::{DisplayName, Email, UniqueName, Username};
use crate::password::{HasherError, Password};
use crate::registration::{Registration, RegistrationError};
use crate::state::AppState;
use crate::tokens::signer::SignError;

/// The body; what is missing is told like any other fault.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Register")]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[schemars(required)]
    email: Option<String>,
    #[schemars(required)]
    username: Option<String>,
    #[schemars(required)]
    password: Option<String>,
    display_name: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// 201 with the tokens of the first session.
pub(super) async fn register(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Tokens), RouteError> {
    let registration = parse(&body).map_err(RouteError::Invalid)?;
    let account = state.registrar.register(registration).await?;
    let refresh_token = state.sessions.open(account.id, account.epoch, client).await?;
    let tokens = Tokens::new(&state.signer, &account, &refresh_token, state.clock.now())?;
    Ok((StatusCode::CREATED, tokens))
}

fn parse(body: &Body) -> Result<Registration, Faults> {
    let mut faults = Faults::default();
    let email = faults.required("email", body.email.as_deref(), Email::parse);
    let username = faults.required("username", body.username.as_deref(), Username::parse);
    // An empty display name in a form is one that was not filled in.
    let display_name = body.display_name.as_deref().filter(|name| !name.trim().is_empty());
    let display_name = faults.optional("displayName", display_name, DisplayName::parse);
    let own_names = [&body.email, &body.username, &body.display_name];
    let own_names: Vec<&str> = own_names.into_iter().filter_map(Option::as_deref).collect();
    let password = faults.required("password", body.password.as_deref(), |text| Password::chosen(text, &own_names));
    match (email, username, password) {
        (Some(email), Some(username), Some(password)) if faults == Faults::default() => Ok(Registration {
            display_name: display_name.unwrap_or_else(|| DisplayName::from(&username)),
            email,
            username,
            password,
        }),
        _ => Err(faults),
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Registration(error) => error.into(),
            RouteError::Database(_) => unavailable(),
            RouteError::Sign(_) => Self::internal(),
        }
    }
}

impl From<RegistrationError> for Problem {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Closed => {
                Self::new(StatusCode::FORBIDDEN, "registration-closed", "Accounts are made by admins here")
                    .detail("Ask an admin of this platform for an account.")
            }
            RegistrationError::Domain(domains) => {
                Self::validation_failed().error("email", format!("must be an address of {}", domains.join(" or ")))
            }
            RegistrationError::Taken(names) => taken(&names),
            RegistrationError::Hasher(HasherError::Busy) | RegistrationError::Database(_) => unavailable(),
            RegistrationError::Hasher(_) => Self::internal(),
        }
    }
}

answer_as_problem!(RouteError);

/// 409 named after the first name that is taken, with each of them as a fault of its field.
pub(in crate::http) fn taken(names: &[UniqueName]) -> Problem {
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title);
    let email_taken = names.contains(&UniqueName::Email);
    let problem = if email_taken {
        conflict("email-taken", "There is an account with this e-mail address")
    } else {
        conflict("username-taken", "There is an account with this user name")
    };
    names.iter().fold(problem, |problem, name| match name {
        UniqueName::Email => problem.error("email", "belongs to another account"),
        UniqueName::Username => problem.error("username", "belongs to another account"),
    })
}
