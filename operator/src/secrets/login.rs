use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::Error;
use super::existing::{Existing, broken};

/// A user of a server and its password.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name of the user.
    pub user: String,
    /// Its password: characters that stand in a URI as they are (RFC 3986, unreserved).
    pub password: SecretString,
}

impl Login {
    pub(super) fn new(user: &str, password: SecretString) -> Self {
        Self { user: user.to_owned(), password }
    }

    /// The login of a service that a URI `scheme://user:password@...` in a Secret carries.
    pub(super) fn from_uri(existing: &Existing, secret: &str, key: &str, user: &str) -> Result<Option<Self>, Error> {
        let Some(uri) = existing.text(secret, key)? else {
            return Ok(None);
        };
        let (_, rest) = uri.split_once("://").ok_or_else(|| broken(secret, key, "is not a URI"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (found, password) = authority
            .rsplit_once('@')
            .and_then(|(userinfo, _)| userinfo.split_once(':'))
            .ok_or_else(|| broken(secret, key, "has no user:password@ before the host"))?;
        if !Self::is_of(found, user) {
            return Err(broken(secret, key, format!("names another user than {user}")));
        }
        checked(secret, key, password).map(|password| Some(Self::new(found, password)))
    }

    /// Whether a user is one of a service: called like it, or so with the number of a generation.
    pub(super) fn is_of(user: &str, service: &str) -> bool {
        split(user).0 == service
    }

    /// The service that it is for.
    #[must_use]
    pub fn service(&self) -> &str {
        split(&self.user).0
    }

    /// The number of its generation.
    pub(super) fn number(&self) -> u32 {
        split(&self.user).1
    }

    /// The login of `user` whose password is a Secret's value of its own.
    pub(super) fn from_value(existing: &Existing, secret: &str, key: &str, user: &str) -> Result<Option<Self>, Error> {
        let Some(password) = existing.text(secret, key)? else {
            return Ok(None);
        };
        checked(secret, key, password).map(|password| Some(Self::new(user, password)))
    }

    pub(super) fn generate(user: &str, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::new(user, random_text::<32>(rng))
    }

    pub(super) fn exposed(&self) -> &str {
        self.password.expose_secret()
    }
}

/// `N` random bytes as base64url without padding.
pub(super) fn random_text<const N: usize>(rng: &mut (impl CryptoRng + ?Sized)) -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; N]);
    rng.fill_bytes(bytes.as_mut());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

/// `chat-2` is of the second generation, `chat` of the first.
fn split(user: &str) -> (&str, u32) {
    let numbered = user.rsplit_once('-').and_then(|(service, number)| Some((service, number.parse::<u32>().ok()?)));
    numbered.filter(|(_, number)| *number > 1).unwrap_or((user, 1))
}

pub(super) fn checked(secret: &str, key: &str, password: &str) -> Result<SecretString, Error> {
    let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    if password.len() < 16 {
        return Err(broken(secret, key, "holds a password of fewer than 16 characters"));
    }
    if !password.chars().all(unreserved) {
        return Err(broken(secret, key, "holds a password with characters other than A-Z a-z 0-9 - . _ ~"));
    }
    Ok(SecretString::from(password))
}
