//! `/admin`: what those in charge may do. Open to moderators and admins, some of it to admins alone, as the account says
//! at that moment; an access token that is older than a change of roles does not help.

mod audit;
mod in_charge;
mod invite;
mod sessions;
mod users;

use axum::http::StatusCode;
use contract::page::{InvalidCursor, Page};
use contract::problem::Problem;
use runtime::openapi::refusals::{AWAY, FORBIDDEN, INVALID, NO_SESSION, NOT_FOUND, Refusal};
use runtime::openapi::{Api, Operation, delete, get, post, put};

use super::fields::Faults;
use super::{answer_as_problem, confirmation, unavailable};
use crate::administration::ActError;
use crate::registration::RegistrationError;
use crate::state::AppState;
use crate::store::users::AdminError;

/// The routes below `/admin`.
pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    const LAST: Refusal = (StatusCode::CONFLICT, &["last-admin"]);
    let account = |operation: Operation<AppState>| in_charge(operation.answers::<users::View>(StatusCode::OK));
    let done = |operation: Operation<AppState>| in_charge(operation.answers_nothing(StatusCode::NO_CONTENT));
    api.route(
        "/api/v1/admin/users",
        [
            get("List accounts", users::list)
                .query::<users::Search>()
                .answers::<Page<users::View>>(StatusCode::OK)
                .problem(INVALID)
                .problem(NO_SESSION)
                .problem(FORBIDDEN)
                .problem(AWAY),
            post("Make an account for somebody", invite::invite)
                .body::<invite::Body>()
                .answers::<invite::Answered>(StatusCode::CREATED)
                .problem(INVALID)
                .problem(NO_SESSION)
                .problem(FORBIDDEN)
                .problem((StatusCode::CONFLICT, &["email-taken", "username-taken"]))
                .problem(AWAY),
        ],
    )
    .route("/api/v1/admin/users/{id}", [account(get("An account", users::show))])
    .route(
        "/api/v1/admin/users/{id}/disable",
        [account(post("Lock somebody out", users::disable).body::<users::Disable>()).problem(INVALID).problem(LAST)],
    )
    .route("/api/v1/admin/users/{id}/enable", [account(post("Let somebody in again", users::enable))])
    .route(
        "/api/v1/admin/users/{id}/roles",
        [account(put("Set somebody's roles", users::set_roles).body::<users::Roles>()).problem(INVALID).problem(LAST)],
    )
    .route(
        "/api/v1/admin/users/{id}/mfa/totp",
        [done(delete("Take somebody's second step away", users::remove_second_step))
            .problem((StatusCode::CONFLICT, &["second-step-not-enabled"]))],
    )
    .route(
        "/api/v1/admin/users/{id}/sessions",
        [
            in_charge(get("Where somebody is logged in", sessions::list))
                .answers::<Page<crate::http::sessions::View>>(StatusCode::OK),
            done(delete("End all of somebody's sessions", sessions::end_all)),
        ],
    )
    .route(
        "/api/v1/admin/users/{id}/sessions/{session}",
        [done(delete("End one of somebody's sessions", sessions::end))],
    )
    .route(
        "/api/v1/admin/audit",
        [get("The audit log", audit::list)
            .query::<audit::Search>()
            .answers::<Page<audit::View>>(StatusCode::OK)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(FORBIDDEN)
            .problem(AWAY)],
    )
}

/// What can be wrong with every operation on an account.
fn in_charge(operation: Operation<AppState>) -> Operation<AppState> {
    operation.problem(NO_SESSION).problem(FORBIDDEN).problem(NOT_FOUND).problem(AWAY)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

/// 409: there is always somebody who can let others in.
pub(super) fn last_admin() -> Problem {
    Problem::new(StatusCode::CONFLICT, "last-admin", "The platform has no other admin")
        .detail("Make somebody else an admin first.")
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Registration(error) => error.into(),
            RouteError::Cursor(error) => Self::validation_failed().error("cursor", error.to_string()),
            RouteError::Act(ActError::Standing(AdminError::NotFound)) => Self::not_found("There is no such user."),
            RouteError::Act(ActError::Standing(AdminError::LastAdmin)) => last_admin(),
            RouteError::Act(ActError::Standing(AdminError::Protected)) => {
                Self::forbidden("Only admins may do this to a moderator or an admin.")
            }
            RouteError::Act(ActError::NoSession) => Self::not_found("The user has no such session."),
            RouteError::Act(ActError::SecondStep(error)) => confirmation::second_step(&error),
            RouteError::Act(ActError::Standing(AdminError::Database(_)) | ActError::Database(_)) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError);
