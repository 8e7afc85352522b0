//! `POST /admin/users`: an account for somebody, who chooses the password. Open to admins.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RouteError;
use super::in_charge::Admin;
use super::users::View;
use crate::http::fields::{self, Faults};
use crate::registration::{Invitation, Invited};
use crate::state::AppState;

/// The body; what is missing is told like any other fault.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Invitation")]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[schemars(required)]
    email: Option<String>,
    #[schemars(required)]
    username: Option<String>,
    display_name: Option<String>,
}

/// The account, and how its owner gets in.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invited")]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered {
    #[serde(flatten)]
    account: View,
    /// Where the owner chooses the password, once. Whoever has it has the account, so hand it to nobody else.
    password_link: String,
    /// Until when that works.
    expires_at: Timestamp,
}

/// 201 with the account and a link for its owner. Open to admins, whether people register by themselves or not.
pub(super) async fn invite(
    State(state): State<AppState>,
    Admin(by): Admin,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Answer<Answered>), RouteError> {
    let invitation = parse(&body).map_err(RouteError::Invalid)?;
    let Invited { account, link, expires_at } = state.registrar.invite(invitation, &by.actor).await?;
    let answered = Answered { account: View::of(&account), password_link: link, expires_at };
    Ok((StatusCode::CREATED, Answer(answered)))
}

fn parse(body: &Body) -> Result<Invitation, Faults> {
    let mut faults = Faults::default();
    let given = (body.email.as_deref(), body.username.as_deref(), body.display_name.as_deref());
    match fields::names(&mut faults, given) {
        Some((email, username, display_name)) if faults == Faults::default() => {
            Ok(Invitation { email, username, display_name })
        }
        _ => Err(faults),
    }
}
