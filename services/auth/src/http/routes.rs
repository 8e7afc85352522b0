//! All routes, as they are served and described.

use axum::http::StatusCode;
use contract::page::Page;
use contract::user::{LoggedIn, Me, SecondStepRequired, User};
use runtime::openapi::refusals::{AWAY, CONFLICT, INVALID, NO_SESSION, NOT_FOUND, Refusal};
use runtime::openapi::{Api, delete, get, patch, post};

use super::{
    admin, change_email, delete_me, jwks, login, logout, passwords, refresh, register, second_step, second_step_login,
    sessions, users, verify_email,
};
use crate::state::AppState;
use crate::tokens::access::JwkSet;

const BAD_LINK: Refusal = (StatusCode::BAD_REQUEST, &["validation-failed", "invalid-token"]);
const NOT_ENTERED: Refusal = (StatusCode::FORBIDDEN, &["account-disabled", "email-not-verified"]);
const LOCKED: Refusal = (StatusCode::TOO_MANY_REQUESTS, &["login-locked"]);
const WRONG_PASSWORD: Refusal = (StatusCode::FORBIDDEN, &["wrong-password"]);

/// The routes, each with what it takes and how it may be refused.
pub(super) fn api() -> Api<AppState> {
    let api = entry(Api::new("auth"));
    let api = owners_second_step(owner(api));
    let api = people(api);
    admin::routes(api).route(
        "/.well-known/jwks.json",
        [get("Public keys of access tokens", jwks::jwks).open().answers::<JwkSet>(StatusCode::OK)],
    )
}

/// What is open to who is not logged in.
fn entry(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/auth/register",
        [post("Make an account and log in", register::register)
            .open()
            .body::<register::Body>()
            .answers::<LoggedIn>(StatusCode::CREATED)
            .idempotency_key()
            .problem(INVALID)
            .problem((StatusCode::FORBIDDEN, &["registration-closed"]))
            .problem((StatusCode::CONFLICT, &["email-taken", "username-taken"]))
            .problem(NOT_ENTERED)
            .problem(LOCKED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/login",
        [post("Log in", login::login)
            .open()
            .body::<login::Body>()
            .answers::<LoggedIn>(StatusCode::OK)
            .answers::<SecondStepRequired>(StatusCode::ACCEPTED)
            .problem(INVALID)
            .problem((StatusCode::UNAUTHORIZED, &["invalid-credentials"]))
            .problem(NOT_ENTERED)
            .problem(LOCKED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/mfa/totp/login",
        [post("Take the second step of a log-in", second_step_login::login)
            .open()
            .body::<second_step_login::Body>()
            .answers::<LoggedIn>(StatusCode::OK)
            .problem(INVALID)
            .problem((StatusCode::UNAUTHORIZED, &["invalid-challenge", "invalid-code"]))
            .problem(NOT_ENTERED)
            .problem((StatusCode::TOO_MANY_REQUESTS, &["second-step-locked"]))
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/refresh",
        [post("Get the next tokens of a session", refresh::refresh)
            .open()
            .body::<refresh::Body>()
            .answers::<LoggedIn>(StatusCode::OK)
            .problem(INVALID)
            .problem((StatusCode::UNAUTHORIZED, &["invalid-refresh-token", "refresh-token-reused"]))
            .problem(NOT_ENTERED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/logout",
        [post("End the session", logout::logout)
            .open()
            .optional_body::<logout::Body>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(NO_SESSION)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/verify-email",
        [post("Show that mail arrives", verify_email::verify)
            .open()
            .body::<verify_email::Body>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(BAD_LINK)
            .problem((StatusCode::CONFLICT, &["email-taken"]))
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/forgot-password",
        [post("Ask for a letter to choose a new password", passwords::forgot)
            .open()
            .body::<passwords::Forgotten>()
            .answers_nothing(StatusCode::ACCEPTED)
            .problem(INVALID)
            .problem((StatusCode::CONFLICT, &["email-not-configured"]))
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/reset-password",
        [post("Choose a new password with a letter's token", passwords::reset)
            .open()
            .body::<passwords::Reset>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(BAD_LINK)
            .problem(CONFLICT)
            .problem(AWAY)],
    )
}

/// What the owner of an account does with it.
fn owner(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/auth/logout-all",
        [post("End all sessions", logout::logout_all)
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(NO_SESSION)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/sessions",
        [get("List one's sessions", sessions::list)
            .answers::<Page<sessions::View>>(StatusCode::OK)
            .problem(NO_SESSION)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/sessions/{id}",
        [delete("End one of one's sessions", sessions::remove)
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(NO_SESSION)
            .problem(NOT_FOUND)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/resend-verification",
        [post("Have the letter that verifies the address sent again", verify_email::resend)
            .answers_nothing(StatusCode::ACCEPTED)
            .problem(NO_SESSION)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/change-email",
        [post("Move to another address", change_email::change)
            .body::<change_email::Body>()
            .answers::<Me>(StatusCode::OK)
            .answers_nothing(StatusCode::ACCEPTED)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(WRONG_PASSWORD)
            .problem((StatusCode::CONFLICT, &["email-taken"]))
            .problem(LOCKED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/change-password",
        [post("Change the password", passwords::change)
            .body::<passwords::Change>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(WRONG_PASSWORD)
            .problem(CONFLICT)
            .problem(LOCKED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/users/me",
        [
            get("One's own account", users::me).answers::<Me>(StatusCode::OK).problem(NO_SESSION).problem(AWAY),
            patch("Change one's profile", users::change_me)
                .body::<users::Change>()
                .answers::<Me>(StatusCode::OK)
                .problem(INVALID)
                .problem(NO_SESSION)
                .problem((StatusCode::CONFLICT, &["username-taken"]))
                .problem(AWAY),
        ],
    )
    .route(
        "/api/v1/users/me/delete",
        [post("Delete one's account", delete_me::delete)
            .body::<delete_me::Body>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(WRONG_PASSWORD)
            .problem((StatusCode::CONFLICT, &["last-admin"]))
            .problem(LOCKED)
            .problem(AWAY)],
    )
}

/// Setting a second step up and giving it up.
fn owners_second_step(api: Api<AppState>) -> Api<AppState> {
    const ENABLED: Refusal = (StatusCode::CONFLICT, &["second-step-enabled"]);
    const NOT_ENABLED: Refusal = (StatusCode::CONFLICT, &["second-step-not-enabled"]);
    api.route(
        "/api/v1/auth/mfa/totp",
        [
            get("The state of one's second step", second_step::show)
                .answers::<second_step::Shown>(StatusCode::OK)
                .problem(NO_SESSION)
                .problem(AWAY),
            post("Begin to set a second step up", second_step::begin)
                .body::<second_step::WithPassword>()
                .answers::<second_step::Begun>(StatusCode::CREATED)
                .problem(INVALID)
                .problem(NO_SESSION)
                .problem(WRONG_PASSWORD)
                .problem(ENABLED)
                .problem(LOCKED)
                .problem(AWAY),
        ],
    )
    .route(
        "/api/v1/auth/mfa/totp/confirm",
        [post("Confirm the secret with a code", second_step::confirm)
            .body::<second_step::WithCode>()
            .answers::<second_step::RecoveryCodes>(StatusCode::OK)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem((StatusCode::FORBIDDEN, &["invalid-code"]))
            .problem((StatusCode::CONFLICT, &["second-step-enabled", "nothing-to-confirm"]))
            .problem((StatusCode::TOO_MANY_REQUESTS, &["second-step-locked"]))
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/mfa/totp/disable",
        [post("Give the second step up", second_step::disable)
            .body::<second_step::WithPassword>()
            .answers_nothing(StatusCode::NO_CONTENT)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(WRONG_PASSWORD)
            .problem(NOT_ENABLED)
            .problem(LOCKED)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/auth/mfa/totp/recovery-codes",
        [post("Get new recovery codes", second_step::renew_recovery_codes)
            .body::<second_step::WithPassword>()
            .answers::<second_step::RecoveryCodes>(StatusCode::OK)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(WRONG_PASSWORD)
            .problem(NOT_ENABLED)
            .problem(LOCKED)
            .problem(AWAY)],
    )
}

/// Other people.
fn people(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/users",
        [get("Find people by the beginning of a name", users::find)
            .query::<users::Search>()
            .answers::<Page<User>>(StatusCode::OK)
            .problem(INVALID)
            .problem(NO_SESSION)
            .problem(AWAY)],
    )
    .route(
        "/api/v1/users/{id}",
        [get("Somebody's public side", users::by_id)
            .answers::<User>(StatusCode::OK)
            .problem(NO_SESSION)
            .problem(NOT_FOUND)
            .problem(AWAY)],
    )
}
