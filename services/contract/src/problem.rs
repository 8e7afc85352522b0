//! Problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): the body of every answer that is an error,
//! in REST with content type `application/problem+json` and in a Socket.IO acknowledgement as `error`.

use std::fmt;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

const TYPES: &str = "https://chatplatform.dev/problems/";

/// What went wrong, for a person (`title`, `detail`) and for a machine (`code`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where the kind of problem is described; ends in `code`.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// The kind of problem in a few words, the same each time it occurs.
    pub title: Box<str>,
    /// HTTP status, repeated from the answer.
    pub status: u16,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// Stable kebab-case name of the kind of problem, for programs to match.
    pub code: String,
    /// W3C trace id of the request, to find its logs by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
    /// Faults by field of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// The field as the request names it, nested ones with dots.
    pub field: String,
    /// What a person has to change.
    pub message: String,
}

impl Problem {
    /// A problem of the kind `code` (kebab-case) with its fixed `title`.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, title: &str) -> Self {
        Self {
            kind: format!("{TYPES}{code}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            code: code.to_owned(),
            trace_id: None,
            errors: Vec::new(),
        }
    }

    /// With an account of what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into());
        self
    }

    /// With one more faulty field.
    #[must_use]
    pub fn error(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// With the trace id of the request.
    #[must_use]
    pub fn trace_id(mut self, trace_id: impl Into<String>) -> Self {
        self.trace_id = Some(trace_id.into().into());
        self
    }

    /// The HTTP status; 500 should the number not be one.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.detail.as_deref().unwrap_or(&self.title))
    }
}

impl std::error::Error for Problem {}

/// The kinds of problem that every service has.
impl Problem {
    /// 400 `validation-failed`: fields are named by [`Problem::error`].
    #[must_use]
    pub fn validation_failed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "validation-failed", "The request has faults")
    }

    /// 400 `malformed-request`: it cannot even be read.
    #[must_use]
    pub fn malformed_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "The request cannot be read").detail(detail)
    }

    /// 401 `unauthenticated`: no credentials were sent.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Log in first")
    }

    /// 403 `forbidden`.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not do this").detail(detail)
    }

    /// 404 `not-found`.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing").detail(detail)
    }

    /// 409 `conflict`.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "This contradicts what is already there").detail(detail)
    }

    /// 500 `internal`: the cause is in the log under the trace id and never in the body.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side")
    }

    /// 503 `unavailable`: something the service needs does not answer; try again.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable").detail(detail)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457_says_with_our_members() {
        let problem = Problem::validation_failed()
            .detail("One field is wrong.")
            .error("email", "is not an e-mail address")
            .trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            json!({
                "type": "https://chatplatform.dev/problems/validation-failed",
                "title": "The request has faults",
                "status": 400,
                "detail": "One field is wrong.",
                "code": "validation-failed",
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "errors": [{"field": "email", "message": "is not an e-mail address"}],
            })
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = serde_json::to_string(&Problem::internal()).unwrap();
        assert!(!text.contains("detail") && !text.contains("traceId") && !text.contains("errors"), "{text}");
    }
}
