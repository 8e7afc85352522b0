//! Who is in charge: the caller, if their account says so at this moment.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use contract::claims::Role;
use contract::problem::Problem;
use runtime::problem::ApiError;

use crate::accounts::Account;
use crate::administration::InCharge;
use crate::audit::Actor;
use crate::http::caller::Caller;
use crate::http::client::FromClient;
use crate::http::unavailable;
use crate::state::AppState;

/// A moderator or an admin.
#[derive(Debug)]
pub(super) struct Moderator(pub(super) InCharge);

/// An admin.
#[derive(Debug)]
pub(super) struct Admin(pub(super) InCharge);

#[derive(Debug, thiserror::Error)]
enum InChargeError {
    #[error("the caller is not in charge: {0}")]
    Forbidden(&'static str),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl FromRequestParts<AppState> for Moderator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let (account, actor) = caller(parts, state).await?;
        if !account.has(Role::Moderator) && !account.has(Role::Admin) {
            return Err(InChargeError::Forbidden("Only moderators and admins may do this.").into());
        }
        Ok(Self(InCharge { actor, is_admin: account.has(Role::Admin) }))
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let (account, actor) = caller(parts, state).await?;
        if !account.has(Role::Admin) {
            return Err(InChargeError::Forbidden("Only admins may do this.").into());
        }
        Ok(Self(InCharge { actor, is_admin: true }))
    }
}

async fn caller(parts: &mut Parts, state: &AppState) -> Result<(Account, Actor), ApiError> {
    let Caller(session) = Caller::from_request_parts(parts, state).await?;
    let FromClient(client) = match FromClient::from_request_parts(parts, state).await {
        Ok(client) => client,
        Err(never) => match never {},
    };
    let account = state.users.get(session.user).await.map_err(InChargeError::from)?;
    let account = account.filter(|account| account.disabled_at.is_none());
    let account = account.ok_or(InChargeError::Forbidden("The account has been disabled."))?;
    let actor = Actor::of(&account, client);
    Ok((account, actor))
}

impl From<InChargeError> for Problem {
    fn from(error: InChargeError) -> Self {
        match error {
            InChargeError::Forbidden(why) => Self::forbidden(why),
            InChargeError::Database(_) => unavailable(),
        }
    }
}
