//! Errors of handlers: anything that turns into a [`Problem`] is answered as one, with the trace id; what is our own fault
//! is logged with its cause, which the client is never told.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use contract::problem::{CONTENT_TYPE, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{telemetry::chain, trace};

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

/// A problem on its way to the client, with what only the log may know.
///
/// Any error enum becomes one by `?` once it has `impl From<ItsError> for Problem`.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    cause: Option<String>,
    headers: HeaderMap,
}

impl ApiError {
    /// A 500 whose cause is only logged.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::with_cause(Problem::internal(), cause)
    }

    /// A 503 whose cause is only logged: a server we need does not answer.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::with_cause(Problem::unavailable("A part of the platform does not answer. Try again in a moment."), cause)
    }

    /// `problem` for the client, `cause` for the log.
    pub fn with_cause(problem: Problem, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause: Box<dyn Error + Send + Sync> = cause.into();
        Self::new(problem, Some(chain(cause.as_ref())))
    }

    fn new(problem: Problem, cause: Option<String>) -> Self {
        Self(Box::new(Inner { problem, cause, headers: HeaderMap::new() }))
    }

    /// With a header on the answer, such as `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers.insert(name, value.into());
        self
    }

    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// The problem as a Socket.IO acknowledgement carries it: with the trace id, its cause logged as an answer's would be.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        self.log();
        let mut problem = self.0.problem;
        if problem.trace_id.is_none() {
            problem.trace_id = trace::current().map(|parent| parent.trace_id().into());
        }
        problem
    }

    fn log(&self) {
        let (code, status, cause) = (&self.0.problem.code, self.0.problem.status, self.0.cause.as_deref());
        if status >= 500 {
            tracing::error!(code, status, cause, "failed");
        } else if cause.is_some() {
            tracing::debug!(code, status, cause, "refused");
        }
    }
}

impl<E: Error + Into<Problem> + 'static> From<E> for ApiError {
    fn from(error: E) -> Self {
        let cause = chain(&error);
        let problem: Problem = error.into();
        // A problem that was made directly is its own cause.
        let cause = (cause != problem.to_string()).then_some(cause);
        Self::new(problem, cause)
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        let headers = std::mem::take(&mut self.0.headers);
        let problem = self.into_problem();
        let mut response = response(&problem);
        response.headers_mut().extend(headers);
        response
    }
}

/// The answer that carries `problem`.
#[must_use]
pub fn response(problem: &Problem) -> Response {
    let status = problem.status_code();
    // Strings and numbers only: there is nothing in a problem that JSON could not hold.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == http::StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use contract::trace::TraceParent;
    use http::StatusCode;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum LendError {
        #[error("the book is lent out")]
        LentOut,
        #[error("the catalogue is closed")]
        Catalogue(#[source] std::io::Error),
    }

    impl From<LendError> for Problem {
        fn from(error: LendError) -> Self {
            match error {
                LendError::LentOut => Problem::conflict("The book is lent out."),
                LendError::Catalogue(_) => Problem::internal(),
            }
        }
    }

    fn lend(fail: LendError) -> ApiResult<()> {
        Err(fail)?
    }

    async fn answered(error: ApiError) -> (http::response::Parts, serde_json::Value) {
        let (parts, body) = error.into_response().into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn an_error_enum_of_a_route_becomes_a_problem_with_the_trace_id() {
        let parent = TraceParent::start();
        let (parts, body) =
            trace::scope(parent, "test", async { answered(lend(LendError::LentOut).unwrap_err()).await }).await;
        assert_eq!(parts.status, StatusCode::CONFLICT);
        assert_eq!(parts.headers[header::CONTENT_TYPE], CONTENT_TYPE);
        assert_eq!(body["code"], "conflict");
        assert_eq!(body["traceId"], parent.trace_id());
    }

    #[tokio::test]
    async fn the_cause_of_our_own_fault_stays_in_the_log() {
        let error = lend(LendError::Catalogue(std::io::Error::other("password is hunter2"))).unwrap_err();
        assert_eq!(error.0.cause.as_deref(), Some("the catalogue is closed: password is hunter2"));
        let (parts, body) = answered(error).await;
        assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("hunter2"));
    }

    #[tokio::test]
    async fn headers_go_along_with_the_problem() {
        let error = ApiError::from(Problem::unauthenticated()).header(header::RETRY_AFTER, 7);
        let (parts, _) = answered(error).await;
        assert_eq!(parts.headers[header::RETRY_AFTER], "7");
        assert_eq!(parts.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
}
