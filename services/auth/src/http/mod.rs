//! The REST interface: a file for each route, and its errors with it.

mod answer;
mod caller;
mod client;
mod fields;
mod jwks;
mod login;
mod logout;
mod refresh;
mod register;
mod sessions;
mod users;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::state::AppState;

/// All routes of the service.
pub fn router(state: AppState) -> Router {
    let api = Router::new()
        .route("/auth/register", post(register::register))
        .route("/auth/login", post(login::login))
        .route("/auth/refresh", post(refresh::refresh))
        .route("/auth/logout", post(logout::logout))
        .route("/auth/logout-all", post(logout::logout_all))
        .route("/auth/sessions", get(sessions::list))
        .route("/auth/sessions/{id}", delete(sessions::remove))
        .route("/users", get(users::find))
        .route("/users/me", get(users::me).patch(users::change_me))
        .route("/users/{id}", get(users::by_id));
    Router::new().nest("/api/v1", api).route("/.well-known/jwks.json", get(jwks::jwks)).with_state(state)
}

/// Problems whose cause is a server that does not answer.
fn unavailable() -> contract::problem::Problem {
    contract::problem::Problem::unavailable("A part of the platform does not answer. Try again in a moment.")
}

/// Implements `IntoResponse` for a route's errors: as problem bodies, with causes of our own in the log.
macro_rules! answer_as_problem {
    ($error:ty) => {
        impl axum::response::IntoResponse for $error {
            fn into_response(self) -> axum::response::Response {
                runtime::problem::ApiError::from(self).into_response()
            }
        }
    };
}
use answer_as_problem;
