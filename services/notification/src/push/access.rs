//! Access tokens for Google's servers: OAuth 2.0 by an assertion that the service account has signed (RFC 7523).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use runtime::{clock::Clock, telemetry::chain, watched::Watched};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{credentials::ServiceAccount, retry_after::retry_after};

/// A token is replaced so long before it ends.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccessError {
    /// The endpoint does not want to know the account: somebody has to do something.
    #[error("the service account cannot log in: {0}")]
    Refused(String),
    /// The endpoint does not answer as it should.
    #[error("no access token is to be had: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// For how long, where it says so.
        retry_after: Option<Duration>,
    },
}

/// Gets access tokens and keeps them.
pub struct AccessTokens {
    http: Client,
    account: Watched<ServiceAccount>,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    /// The last failure, for those who waited for its end.
    failed: Option<(Instant, AccessError)>,
}

struct Token {
    text: Arc<str>,
    replaced_at: Timestamp,
    account: Arc<ServiceAccount>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

/// RFC 6749, section 5.2.
#[derive(Default, Deserialize)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl AccessTokens {
    /// Tokens for `account`.
    #[must_use]
    pub fn new(http: Client, account: Watched<ServiceAccount>, clock: Clock) -> Self {
        Self { http, account, clock, kept: Mutex::default() }
    }

    /// A token that holds. It is fetched once, however many wait for it, and what became of that is what all of them get.
    pub async fn get(&self) -> Result<Arc<str>, AccessError> {
        let asked = Instant::now();
        let mut kept = self.kept.lock().await;
        let account = self.account.get();
        if let Some(token) = &kept.token
            && Arc::ptr_eq(&token.account, &account)
            && self.clock.now() < token.replaced_at
        {
            return Ok(Arc::clone(&token.text));
        }
        if let Some((at, error)) = &kept.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        match self.fetch(&account).await {
            Ok(token) => {
                let text = Arc::clone(&token.text);
                *kept = Kept { token: Some(token), failed: None };
                Ok(text)
            }
            Err(error) => {
                *kept = Kept { token: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// The token is not taken: the next one is a new one.
    pub async fn forget(&self, refused: &str) {
        let mut kept = self.kept.lock().await;
        // Another may have been fetched in the meantime.
        if kept.token.as_ref().is_some_and(|token| &*token.text == refused) {
            kept.token = None;
        }
    }

    async fn fetch(&self, account: &Arc<ServiceAccount>) -> Result<Token, AccessError> {
        let now = self.clock.now();
        let unavailable = |reason: String| AccessError::Unavailable { reason, retry_after: None };
        let assertion = account.assertion(now).map_err(|error| AccessError::Refused(error.to_string()))?;
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let answer = self
            .http
            .post(&account.token_uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("grant_type={grant}&assertion={assertion}"))
            .send()
            .await
            .map_err(|error| unavailable(chain(&error.without_url())))?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers(), now));
        if status == StatusCode::OK {
            let granted: Granted = answer.json().await.map_err(|error| unavailable(chain(&error.without_url())))?;
            let life = SignedDuration::from_secs(granted.expires_in.clamp(0, 24 * 3600));
            // Of a token that is short-lived, half its life is left to it.
            let replaced_at = now + (life - MARGIN).max(life / 2);
            return Ok(Token { text: granted.access_token.into(), replaced_at, account: Arc::clone(account) });
        }
        let Denied { error, error_description } = answer.json().await.unwrap_or_default();
        let reason = format!("{} answers {status}: {error}: {error_description}", account.token_uri);
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return Err(AccessError::Refused(reason));
        }
        Err(AccessError::Unavailable { reason, retry_after })
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("account", &self.account).finish_non_exhaustive()
    }
}
