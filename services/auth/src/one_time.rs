//! Tokens that prove something once: that mail arrives, that a password was right a moment ago.
//!
//! A token is 256 random bits; the database keeps its SHA-256 and deletes that with the first use.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contract::event::MailedToken;
use contract::id::UserId;
use jiff::{SignedDuration, Timestamp};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::accounts::Email;

const BYTES: usize = 32;

/// A token as its holder has it: base64url of its bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; BYTES]);

/// The text is none of our tokens.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct NotAToken;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To show that mail to an address arrives.
    VerifyEmail,
    /// To show that mail to another address arrives, and move there.
    ChangeEmail,
    /// To choose a new password.
    ResetPassword,
    /// To choose the first password of an account that an admin made.
    Invitation,
    /// To take the second step of a log-in.
    SecondStep,
}

/// What is kept of a token.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose it is.
    pub user: UserId,
    /// The address it was sent to.
    pub email: Option<Email>,
    /// The account's epoch when it was issued: at a later one it proves nothing.
    pub epoch: i64,
    /// When.
    pub created_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Purpose {
    /// How long a token works.
    #[must_use]
    pub fn lifetime(self) -> SignedDuration {
        match self {
            Self::VerifyEmail => SignedDuration::from_hours(24),
            Self::ChangeEmail | Self::ResetPassword => SignedDuration::from_hours(1),
            Self::Invitation => SignedDuration::from_hours(7 * 24),
            Self::SecondStep => SignedDuration::from_mins(5),
        }
    }

    /// How many tokens a user may have at a time, where they are sent by mail: so many letters leave within a lifetime,
    /// whoever asks for them.
    #[must_use]
    pub fn most(self) -> Option<u64> {
        match self {
            Self::VerifyEmail | Self::ChangeEmail => Some(5),
            Self::ResetPassword => Some(3),
            // The one is made with the account. Whoever gets the other knows the password; a bound would let them keep the owner out.
            Self::Invitation | Self::SecondStep => None,
        }
    }
}

impl Token {
    /// Draws a token.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; BYTES];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// What the database knows it by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The token for the letter that carries it.
    #[must_use]
    pub fn mailed(&self) -> MailedToken {
        MailedToken(self.to_string())
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAToken)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAToken)?))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_survives_its_text_and_is_known_by_its_digest() {
        let token = Token::generate(&mut rand::rng());
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        assert!(token.hash() != token.0 && format!("{token:?}") == "Token");
    }

    proptest! {
        #[test]
        fn any_other_text_is_no_token(text in ".{0,60}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
