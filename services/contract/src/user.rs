//! Bodies of `/auth/...` and `/users/...`.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    claims::Role,
    id::{MediaId, UserId},
};

/// A user as anyone who is logged in sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Identity, for ever.
    pub id: UserId,
    /// Unique name by which others find the user.
    pub username: String,
    /// Name shown to others.
    pub display_name: String,
    /// Picture, as the media service knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_id: Option<MediaId>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// A user as they see themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// What others see too.
    #[serde(flatten)]
    pub user: User,
    /// Where e-mail goes.
    pub email: String,
    /// Whether mail to that address has been shown to reach the user.
    #[serde(default)]
    pub email_verified: bool,
    /// Whether logging in takes a second step.
    #[serde(default)]
    pub second_step: bool,
    /// What the user may do.
    pub roles: Vec<Role>,
}

/// Body of `POST /auth/register`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// E-mail address, unique without regard to case.
    pub email: String,
    /// Name, unique without regard to case.
    pub username: String,
    /// Password in the clear; it is hashed at once and never logged.
    pub password: String,
    /// Name shown to others; the user name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Answer of `register`, `login` and `refresh`: RFC 6749's token response beside the user.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// Who is logged in.
    pub user: Me,
    /// Goes into `Authorization: Bearer`.
    pub access_token: String,
    /// Goes into `POST /auth/refresh`, once.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Life of the access token in seconds.
    pub expires_in: u64,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn").field("user", &self.user.user.id).finish_non_exhaustive()
    }
}

/// Body of `POST /auth/refresh`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// The token of the last answer.
    pub refresh_token: String,
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").finish_non_exhaustive()
    }
}

/// Answer of `login` with 202: the password was right, and a second step is asked for.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecondStepRequired {
    /// Goes into `POST /auth/mfa/totp/login` together with a code.
    pub challenge: String,
    /// Life of the challenge in seconds.
    pub expires_in: u64,
    /// By what it can be answered.
    pub methods: Vec<SecondStepMethod>,
}

impl fmt::Debug for SecondStepRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondStepRequired").field("methods", &self.methods).finish_non_exhaustive()
    }
}

/// By what a second step can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecondStepMethod {
    /// A code of an authenticator app (RFC 6238).
    Totp,
    /// One of the codes kept for the day the app is lost.
    RecoveryCode,
}
