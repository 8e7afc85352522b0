//! `POST /auth/login`: a session for whoever knows the password. Open to everybody.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::problem::Problem;
use contract::user::{SecondStepMethod, SecondStepRequired};
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Tokens, no_store};
use super::client::FromClient;
use super::fields::Faults;
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::{Account, NameKey};
use crate::credentials::CredentialsError;
use crate::one_time::{Issued, Purpose, Token};
use crate::password::Password;
use crate::state::AppState;
use crate::tokens::signer::SignError;

/// The body: who, by e-mail address or by user name, and the password.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LogIn")]
pub(super) struct Body {
    email: Option<String>,
    username: Option<String>,
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
    Entry(#[from] EntryError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why the owner of an account does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    #[error("the account is disabled")]
    Disabled,
    #[error("the e-mail address has not been verified in time")]
    NotVerified,
}

/// What a right password is answered with.
pub(super) enum Answer {
    /// 200: a session.
    LoggedIn(Tokens),
    /// 202: the second step is asked for.
    SecondStep(SecondStepRequired),
}

/// 200 with the tokens of a new session, or 202 with a challenge where the account has a second step.
pub(super) async fn login(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<Answer, RouteError> {
    let (login, password) = parse(&body).map_err(RouteError::Invalid)?;
    let account = login.account(&state).await?;
    let account = state.credentials.check(account, login.key().as_str(), password, client.address.as_deref()).await?;
    match may_enter(&account, &state) {
        Ok(()) => {}
        Err(EntryError::NotVerified) => {
            state.addresses.ask_again(&account).await?;
            return Err(EntryError::NotVerified.into());
        }
        Err(refused) => return Err(refused.into()),
    }
    if account.second_step.is_some() {
        return Ok(Answer::SecondStep(challenge(&state, &account).await?));
    }
    let refresh_token = state.sessions.open(account.id, account.epoch, client).await?;
    Ok(Answer::LoggedIn(Tokens::new(&state.signer, &account, &refresh_token, state.clock.now())?))
}

/// Whether the owner of the account may have a session, now that they have shown to be that.
pub(super) fn may_enter(account: &Account, state: &AppState) -> Result<(), EntryError> {
    if account.disabled_at.is_some() {
        return Err(EntryError::Disabled);
    }
    if account.must_verify(state.clock.now()) {
        return Err(EntryError::NotVerified);
    }
    Ok(())
}

async fn challenge(state: &AppState, account: &Account) -> Result<SecondStepRequired, mongodb::error::Error> {
    let now = state.clock.now();
    let lifetime = Purpose::SecondStep.lifetime();
    let token = Token::generate(&mut rand::rng());
    let issued = Issued {
        purpose: Purpose::SecondStep,
        user: account.id,
        email: None,
        epoch: account.epoch,
        created_at: now,
        expires_at: now + lifetime,
    };
    state.one_time.add(&token, &issued).await?;
    Ok(SecondStepRequired {
        challenge: token.to_string(),
        expires_in: lifetime.as_secs().unsigned_abs(),
        methods: vec![SecondStepMethod::Totp, SecondStepMethod::RecoveryCode],
    })
}

/// By what somebody logs in.
enum Login {
    Email(NameKey),
    Username(NameKey),
}

impl Login {
    fn key(&self) -> &NameKey {
        let (Self::Email(key) | Self::Username(key)) = self;
        key
    }

    async fn account(&self, state: &AppState) -> Result<Option<Account>, mongodb::error::Error> {
        match self {
            Self::Email(key) => state.users.by_email(key).await,
            Self::Username(key) => state.users.by_username(key).await,
        }
    }
}

fn parse(body: &Body) -> Result<(Login, Option<Password>), Faults> {
    let mut faults = Faults::default();
    let login = match (body.email.as_deref(), body.username.as_deref()) {
        (Some(email), None) => Some(Login::Email(NameKey::of(email.trim()))),
        (None, Some(username)) => Some(Login::Username(NameKey::of(username.trim()))),
        (None, None) => {
            faults.add("email", "is missing (or give username)");
            None
        }
        (Some(_), Some(_)) => {
            faults.add("username", "give either email or username");
            None
        }
    };
    match (login, body.password.as_deref()) {
        (Some(login), Some(password)) => Ok((login, Password::presented(password))),
        (_, Some(_)) => Err(faults),
        (_, None) => {
            faults.add("password", "is missing");
            Err(faults)
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::LoggedIn(tokens) => tokens.into_response(),
            Self::SecondStep(asked) => (StatusCode::ACCEPTED, no_store(), axum::Json(asked)).into_response(),
        }
    }
}

impl From<EntryError> for Problem {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Disabled => {
                Self::new(StatusCode::FORBIDDEN, "account-disabled", "The account has been disabled")
                    .detail("Ask an administrator of this platform.")
            }
            EntryError::NotVerified => {
                Self::new(StatusCode::FORBIDDEN, "email-not-verified", "The e-mail address has not been verified")
                    .detail("Open the link in the letter that was sent to it.")
            }
        }
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Credentials(error) => confirmation::at_log_in(&error),
            RouteError::Entry(refused) => refused.into(),
            RouteError::Database(_) => unavailable(),
            RouteError::Sign(_) => Self::internal(),
        }
    }
}

answer_as_problem!(RouteError, credentials);
