//! The REST interface: a file for each route or a few that belong together, and their errors with them.

mod admin;
mod answer;
mod caller;
mod change_email;
mod client;
mod confirmation;
mod delete_me;
mod fields;
mod jwks;
mod login;
mod logout;
mod passwords;
mod refresh;
mod register;
mod routes;
mod second_step;
mod second_step_login;
mod sessions;
mod users;
mod verify_email;

use axum::Router;
use runtime::openapi;
use serde_json::Value;

use crate::state::AppState;

/// All routes of the service.
pub fn router(state: AppState) -> Router {
    let (router, document) = routes::api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    router.merge(openapi::route(document)).with_state(state)
}

const TITLE: &str = "ChatPlatform: accounts and sessions";

/// What describes the routes, as an `OpenAPI` 3.1 document. The service itself answers it at `/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    routes::api().finish(TITLE, env!("CARGO_PKG_VERSION")).1
}

/// Problems whose cause is a server that does not answer.
fn unavailable() -> contract::problem::Problem {
    contract::problem::Problem::unavailable("A part of the platform does not answer. Try again in a moment.")
}

/// Implements `IntoResponse` for a route's errors: as problem bodies, with causes of our own in the log. Errors that have a
/// method `wait` say in `Retry-After` how long to wait; `credentials` gives one to errors that have nothing to wait for but a
/// lock in their variant `Credentials`.
macro_rules! answer_as_problem {
    ($error:ty) => {
        impl axum::response::IntoResponse for $error {
            fn into_response(self) -> axum::response::Response {
                runtime::problem::ApiError::from(self).into_response()
            }
        }
    };
    ($error:ty, credentials) => {
        impl $error {
            fn wait(&self) -> Option<std::time::Duration> {
                match self {
                    Self::Credentials(error) => crate::http::confirmation::wait(error),
                    _ => None,
                }
            }
        }

        answer_as_problem!($error, wait);
    };
    ($error:ty, $wait:ident) => {
        impl axum::response::IntoResponse for $error {
            fn into_response(self) -> axum::response::Response {
                let wait = self.$wait().map(crate::http::confirmation::whole_seconds);
                let error = runtime::problem::ApiError::from(self);
                match wait {
                    Some(seconds) => error.header(axum::http::header::RETRY_AFTER, seconds).into_response(),
                    None => error.into_response(),
                }
            }
        }
    };
}
use answer_as_problem;
