use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use secrecy::zeroize::Zeroizing;

use super::Error;

/// What the Secrets of a platform hold now, by Secret and key.
#[derive(Clone, Default)]
pub struct Existing {
    secrets: BTreeMap<String, BTreeMap<String, Zeroizing<Vec<u8>>>>,
    data_stored: bool,
}

impl Existing {
    /// Takes the platform's own Secrets, found by their labels.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets = secrets
            .into_iter()
            .filter_map(|secret| {
                let name = secret.metadata.name?;
                let data = secret.data.unwrap_or_default();
                Some((name, data.into_iter().map(|(key, value)| (key, Zeroizing::new(value.0))).collect()))
            })
            .collect();
        Self { secrets, data_stored: false }
    }

    /// Says whether the platform has stored messages already (its `MongoDB` has run before). Then a missing message key is an
    /// error and not a reason to make another, for the messages would stay unreadable without anybody noticing.
    #[must_use]
    pub fn with_data_stored(mut self, data_stored: bool) -> Self {
        self.data_stored = data_stored;
        self
    }

    pub(super) fn data_stored(&self) -> bool {
        self.data_stored
    }

    /// Whether a certificate is of another authority than this one, by what its Secret says.
    pub(super) fn is_of_another(&self, secret: &str, authority: &str) -> bool {
        let value = |keys: &BTreeMap<_, Zeroizing<Vec<u8>>>, key: &str| keys.get(key).map(|value| value.to_vec());
        let keys = self.secrets.get(secret);
        keys.is_some_and(|keys| {
            value(keys, "tls.crt").is_some()
                && value(keys, super::Names::AUTHORITY).is_none_or(|is| is != authority.as_bytes())
        })
    }

    /// A value as text; `None` where the Secret or the key is missing.
    pub(super) fn text(&self, secret: &str, key: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.secrets.get(secret).and_then(|keys| keys.get(key)) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| broken(secret, key, "is not text in UTF-8"))?;
        if text.trim().is_empty() {
            return Err(broken(secret, key, "is empty"));
        }
        Ok(Some(text))
    }
}

impl fmt::Debug for Existing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.secrets.iter().map(|(name, keys)| (name, keys.keys().collect::<Vec<_>>()));
        f.debug_map().entries(keys).finish()
    }
}

pub(super) fn broken(secret: &str, key: &str, fault: impl Into<String>) -> Error {
    Error::Broken { secret: secret.to_owned(), key: key.to_owned(), fault: fault.into() }
}
