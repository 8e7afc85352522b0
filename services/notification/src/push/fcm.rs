//! The way to Firebase Cloud Messaging.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode, header::HeaderMap};
use runtime::{clock::Clock, telemetry::chain, watched::Watched};
use serde::Deserialize;
use serde_json::Value;

use super::{
    access::{AccessError, AccessTokens},
    credentials::ServiceAccount,
    retry_after::retry_after,
};
use crate::settings::Push;

/// How long one request may take, connecting included.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection without work is kept.
const IDLE: Duration = Duration::from_mins(1);

/// Google asks for so long a pause where a quota is used up and it does not say more.
const QUOTA_PAUSE: Duration = Duration::from_mins(1);

/// Why a device does not have a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The token is worth nothing, now and for ever: the app is gone from the device, or never gave this token.
    #[error("the token is dead: {0}")]
    Dead(String),
    /// The token is another project's.
    #[error("the device was registered with another Firebase project: {0}")]
    OtherProject(String),
    /// This message will never pass.
    #[error("Firebase refuses the message: {0}")]
    Refused(String),
    /// The access token is not taken.
    #[error("Firebase does not take the access token: {0}")]
    NotLoggedIn(String),
    /// We are not let in: somebody has to do something, and then it will pass.
    #[error("Firebase does not let us in: {0}")]
    Forbidden(String),
    /// It may pass later.
    #[error("Firebase does not take it: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// For how long, where it says so.
        retry_after: Option<Duration>,
    },
}

impl PushError {
    /// Its name among the metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dead(_) => "dead-token",
            Self::OtherProject(_) => "other-project",
            Self::Refused(_) => "refused",
            Self::NotLoggedIn(_) | Self::Forbidden(_) => "forbidden",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

/// Hands messages to Firebase Cloud Messaging, over connections that it keeps.
#[derive(Debug)]
pub struct Fcm {
    http: Client,
    url: String,
    tokens: AccessTokens,
    clock: Clock,
}

impl Fcm {
    /// A way for `project`, as `account`.
    pub fn new(
        project: &str,
        settings: &Push,
        account: Watched<ServiceAccount>,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(PATIENCE).pool_idle_timeout(IDLE).build()?;
        let url = format!("{}/v1/projects/{project}/messages:send", settings.endpoint.trim_end_matches('/'));
        let tokens = AccessTokens::new(http.clone(), account, clock.clone());
        Ok(Self { http, url, tokens, clock })
    }

    /// Hands a message over. When this returns, Firebase has taken responsibility for it.
    pub async fn send(&self, message: &Value) -> Result<(), PushError> {
        let token = self.tokens.get().await?;
        let first = self.post(&token, message).await;
        if !matches!(first, Err(PushError::NotLoggedIn(_))) {
            return first;
        }
        // It may have been revoked, or its key replaced. A new one tells whether that was it.
        self.tokens.forget(&token).await;
        let token = self.tokens.get().await?;
        self.post(&token, message).await
    }

    async fn post(&self, token: &str, message: &Value) -> Result<(), PushError> {
        let sent = self.http.post(&self.url).bearer_auth(token).json(message).send().await;
        let answer = sent.map_err(|error| PushError::Unavailable { reason: chain(&error), retry_after: None })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status.is_success() {
            return Ok(());
        }
        let body = answer.bytes().await.unwrap_or_default();
        Err(read(status, &headers, &body, self.clock.now()))
    }
}

impl From<AccessError> for PushError {
    fn from(error: AccessError) -> Self {
        let reason = error.to_string();
        match error {
            AccessError::Refused(_) => Self::Forbidden(reason),
            AccessError::Unavailable { retry_after, .. } => Self::Unavailable { reason, retry_after },
        }
    }
}

/// Google's form of an error (<https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode>).
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Fault,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    field_violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(default)]
    field: String,
}

/// What an answer that is none of success means.
fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> PushError {
    let Answer { error: fault } = serde_json::from_slice(body).unwrap_or_default();
    let code = fault.details.iter().find_map(|detail| detail.error_code.as_deref()).unwrap_or_default();
    let reason = format!("{status} {code}: {}", fault.message);
    let retry_after = retry_after(headers, now);
    match (status.as_u16(), code) {
        (404, "UNREGISTERED") => PushError::Dead(reason),
        (400, _) if is_about_the_token(&fault) => PushError::Dead(reason),
        (403, "SENDER_ID_MISMATCH") => PushError::OtherProject(reason),
        // Certificates of Apple's and keys of browsers that the project lacks; others may be told all the same.
        (401, "THIRD_PARTY_AUTH_ERROR") | (400 | 413, _) => PushError::Refused(reason),
        (401, _) => PushError::NotLoggedIn(reason),
        // The second: there is no such project.
        (403 | 404, _) => PushError::Forbidden(reason),
        (429, _) => PushError::Unavailable { reason, retry_after: retry_after.or(Some(QUOTA_PAUSE)) },
        _ => PushError::Unavailable { reason, retry_after },
    }
}

fn is_about_the_token(fault: &Fault) -> bool {
    let violations = || fault.details.iter().flat_map(|detail| &detail.field_violations);
    violations().any(|violation| violation.field == "message.token")
        || (violations().next().is_none() && fault.message.contains("registration token is not a valid"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn named(status: u16, code: &str, message: &str, field: Option<&str>) -> &'static str {
        let mut details =
            vec![json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})];
        if let Some(field) = field {
            details.push(
                json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}),
            );
        }
        let body = json!({"error": {"code": status, "message": message, "details": details}}).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        read(status, &HeaderMap::new(), body.as_bytes(), Timestamp::UNIX_EPOCH).name()
    }

    #[test]
    fn an_answer_says_whether_the_token_the_message_or_we_are_at_fault() {
        assert_eq!(named(404, "UNREGISTERED", "", None), "dead-token");
        assert_eq!(named(400, "INVALID_ARGUMENT", "", Some("message.token")), "dead-token");
        let words = "The registration token is not a valid FCM registration token";
        assert_eq!(named(400, "INVALID_ARGUMENT", words, None), "dead-token");
        assert_eq!(named(400, "INVALID_ARGUMENT", "", Some("message.data[0].value")), "refused");
        assert_eq!(named(403, "SENDER_ID_MISMATCH", "", None), "other-project");
        assert_eq!(named(403, "", "Permission denied", None), "forbidden");
        assert_eq!(named(404, "", "no such project", None), "forbidden");
        assert_eq!(named(401, "", "", None), "forbidden");
        assert_eq!(named(401, "THIRD_PARTY_AUTH_ERROR", "", None), "refused");
        for (status, code) in [(429, "QUOTA_EXCEEDED"), (503, "UNAVAILABLE"), (500, "INTERNAL"), (502, "")] {
            assert_eq!(named(status, code, "", None), "unavailable");
        }
    }

    #[test]
    fn what_is_no_answer_of_firebase_is_tried_again() {
        let read = |status: u16, body: &[u8]| {
            read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(read(502, b"<html>bad gateway").name(), "unavailable");
        let pause = read(429, b"");
        assert!(matches!(pause, PushError::Unavailable { retry_after: Some(QUOTA_PAUSE), .. }), "{pause:?}");
    }
}
