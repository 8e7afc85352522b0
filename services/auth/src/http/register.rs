//! `POST /auth/register`: an account and its first session. Open to everybody, unless the platform leaves it to admins.

use axum::extract::State;
use axum::http::StatusCode;
use contract::problem::Problem;
use jiff::SignedDuration;
use runtime::extract::Json;
use runtime::idempotency::{IdempotencyKey, KeyReused};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Tokens;
use super::client::FromClient;
use super::fields::{self, Faults};
use super::login::{EntryError, may_enter};
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::{Account, KeyDigest, UniqueName};
use crate::credentials::CredentialsError;
use crate::password::{HasherError, Password};
use crate::registration::{Registration, RegistrationError};
use crate::state::AppState;
use crate::tokens::signer::SignError;

/// How long a registration can be asked for again by its key.
const KEY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

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
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// 201 with the tokens of the first session. Under the key of a registration that made the account already it is 201 too, with a session of
/// its own: tokens are kept by nobody, so those of then cannot be told again, and whoever repeats the password may log in anyway.
pub(super) async fn register(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    key: Option<IdempotencyKey>,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Tokens), RouteError> {
    let key = key.as_ref().map(KeyDigest::from);
    let registration = Registration { key, ..parse(&body).map_err(RouteError::Invalid)? };
    let account = match state.registrar.register(registration.clone()).await {
        Err(RegistrationError::Taken(names)) => {
            let before = made_before(&state, registration, client.address.as_deref()).await?;
            before.ok_or(RegistrationError::Taken(names))?
        }
        other => other?,
    };
    let refresh_token = state.sessions.open(account.id, account.epoch, client).await?;
    let tokens = Tokens::new(&state.signer, &account, &refresh_token, state.clock.now())?;
    Ok((StatusCode::CREATED, tokens))
}

/// The account, if a request with the same key has made it. Whoever does not know its password, or says other things of it, has another request.
async fn made_before(
    state: &AppState,
    registration: Registration,
    address: Option<&str>,
) -> Result<Option<Account>, RouteError> {
    let Some(key) = &registration.key else { return Ok(None) };
    let email = registration.email.key();
    let Some(account) = state.users.by_email(&email).await? else { return Ok(None) };
    let age = state.clock.now().duration_since(account.created_at);
    if account.registered_by.as_ref() != Some(key) || age >= KEY_KEPT_FOR || account.second_step.is_some() {
        return Ok(None);
    }
    if !registration.made(&account) {
        return Err(KeyReused.into());
    }
    let password = Some(registration.password);
    match state.credentials.check(Some(account), email.as_str(), password, address).await {
        Ok(account) => may_enter(&account, state).map(|()| Some(account)).map_err(RouteError::from),
        Err(CredentialsError::Wrong) => Err(KeyReused.into()),
        Err(error) => Err(error.into()),
    }
}

fn parse(body: &Body) -> Result<Registration, Faults> {
    let mut faults = Faults::default();
    let given = (body.email.as_deref(), body.username.as_deref(), body.display_name.as_deref());
    let names = fields::names(&mut faults, given);
    let own_names = [&body.email, &body.username, &body.display_name];
    let own_names: Vec<&str> = own_names.into_iter().filter_map(Option::as_deref).collect();
    let password = faults.required("password", body.password.as_deref(), |text| Password::chosen(text, &own_names));
    match (names, password) {
        (Some((email, username, display_name)), Some(password)) if faults == Faults::default() => {
            Ok(Registration { email, username, display_name, password, key: None })
        }
        _ => Err(faults),
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Registration(error) => error.into(),
            RouteError::Credentials(error) => confirmation::at_log_in(&error),
            RouteError::Entry(refused) => refused.into(),
            RouteError::KeyReused(reused) => reused.into(),
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

answer_as_problem!(RouteError, credentials);

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
