//! The key of a Google service account, as its console gives it out.

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// What the account is to be allowed.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// How long an assertion holds: the most that Google takes.
const ASSERTED_SECONDS: i64 = 3600;

/// A service account that can log in.
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: EncodingKey,
    /// Where it gets access tokens.
    pub token_uri: String,
}

/// The file's content. There is more in it that nobody needs here.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    #[serde(default)]
    private_key_id: Option<String>,
    private_key: String,
    token_uri: String,
}

/// What an assertion claims (RFC 7523, section 3).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccount {
    /// Reads the file. What is wrong is told without what is secret.
    pub fn parse(content: &[u8]) -> Result<Self, String> {
        let File { kind, client_email: email, private_key_id: key_id, private_key, token_uri } =
            serde_json::from_slice(content).map_err(|error| {
                // A message of serde may quote a value.
                let (line, column) = (error.line(), error.column());
                format!(
                    "it is not the JSON of a service account with type, client_email, private_key and token_uri (line {line}, column {column})"
                )
            })?;
        if kind != "service_account" {
            return Err(format!("its type is {kind:?} and not \"service_account\""));
        }
        if !token_uri.starts_with("https://") && !token_uri.starts_with("http://") {
            return Err("its token_uri is no URL".to_owned());
        }
        let key = EncodingKey::from_rsa_pem(private_key.as_bytes())
            .map_err(|_| "its private_key is no RSA key in PEM".to_owned())?;
        Ok(Self { email, key_id, key, token_uri })
    }

    /// What shows the token endpoint who asks (RFC 7523).
    pub fn assertion(&self, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let (iat, exp) = (now.as_second(), now.as_second() + ASSERTED_SECONDS);
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: &self.token_uri, iat, exp };
        jsonwebtoken::encode(&Header { kid: self.key_id.clone(), ..Header::new(Algorithm::RS256) }, &claims, &self.key)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_key() {
        let fault = |content: &str| ServiceAccount::parse(content.as_bytes()).unwrap_err();
        let file = |kind: &str, key: &str| {
            let uri = "https://oauth2.example/token";
            json!({"type": kind, "client_email": "a@b", "private_key": key, "token_uri": uri}).to_string()
        };
        assert!(fault("{").contains("line 1"));
        assert!(fault(&file("authorized_user", "x")).contains("authorized_user"));
        let fault =
            fault(&file("service_account", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"));
        assert!(fault.contains("private_key") && !fault.contains("hunter2"), "{fault}");
        let typed = r#"{"type": "service_account", "client_email": "a@b", "private_key": 7, "token_uri": "hunter2"}"#;
        assert!(!ServiceAccount::parse(typed.as_bytes()).unwrap_err().contains("hunter2"));
    }
}
