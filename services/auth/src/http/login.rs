//! `POST /auth/login`: a session for whoever knows the password. Open to everybody.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contract::problem::Problem;
use runtime::extract::Json;
use runtime::problem::ApiError;
use serde::Deserialize;

use super::answer::Tokens;
use super::client::FromClient;
use super::fields::Faults;
use super::unavailable;
use crate::accounts::{Account, NameKey};
use crate::lockout::Attempt;
use crate::password::{HasherError, Password, Verdict};
use crate::state::AppState;
use crate::tokens::signer::SignError;

/// The body: who, by e-mail address or by user name, and the password.
#[derive(Deserialize)]
pub(super) struct Body {
    email: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("wrong name or password")]
    InvalidCredentials,
    #[error("locked for {} s", .0.as_secs())]
    Locked(Duration),
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// 200 with the tokens of a new session.
pub(super) async fn login(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<Tokens, RouteError> {
    let (login, password) = parse(&body).map_err(RouteError::Invalid)?;
    let address = client.address.as_deref().unwrap_or_default();
    let account = login.account(&state).await?;
    // By id, so that address and user name of one account do not count apart.
    let counted = account.as_ref().map_or_else(|| login.key().as_str().to_owned(), |account| account.id.to_string());
    match state.lockout.attempt(&counted, address).await {
        Ok(Attempt::Allowed) => {}
        Ok(Attempt::Locked(wait)) => return Err(RouteError::Locked(wait)),
        // Without Redis guesses are slowed by their hashing alone; nobody who knows a password is kept out.
        Err(error) => tracing::warn!(%error, "attempts to log in are not being counted"),
    }
    let account = authenticated(&state, account, password).await?;
    if let Err(error) = state.lockout.succeeded(&counted, address).await {
        tracing::warn!(%error, "attempts to log in could not be forgotten");
    }
    let refresh_token = state.sessions.open(account.id, client).await?;
    Ok(Tokens::new(&state.signer, &account, &refresh_token, state.clock.now())?)
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

/// The account if `password` is its password; the same work is done and the same error told where there is none.
async fn authenticated(
    state: &AppState,
    account: Option<Account>,
    password: Option<Password>,
) -> Result<Account, RouteError> {
    // What cannot be anybody's password needs no comparison, and says nothing about an account.
    let password = password.ok_or(RouteError::InvalidCredentials)?;
    let kept = account.as_ref().map(|account| account.password.clone());
    let verdict = state.hasher.verify(password.clone(), kept).await?;
    let account = account.ok_or(RouteError::InvalidCredentials)?;
    match verdict {
        Verdict::Wrong => return Err(RouteError::InvalidCredentials),
        Verdict::Right => {}
        Verdict::RightButOutdated => {
            let hash = state.hasher.hash(password).await?;
            state.users.rehash(account.id, &account.password, &hash).await?;
        }
    }
    Ok(account)
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::InvalidCredentials => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid-credentials", "Wrong name or password")
            }
            RouteError::Locked(wait) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "login-locked", "Too many attempts to log in")
                    .detail(format!("Try again in {} s.", whole_seconds(wait)))
            }
            RouteError::Hasher(HasherError::Busy) | RouteError::Database(_) => unavailable(),
            RouteError::Hasher(_) | RouteError::Sign(_) => Self::internal(),
        }
    }
}

impl IntoResponse for RouteError {
    fn into_response(self) -> Response {
        let wait = match &self {
            Self::Locked(wait) => Some(HeaderValue::from(whole_seconds(*wait))),
            _ => None,
        };
        let error = ApiError::from(self);
        match wait {
            Some(wait) => error.header(header::RETRY_AFTER, wait).into_response(),
            None => error.into_response(),
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
