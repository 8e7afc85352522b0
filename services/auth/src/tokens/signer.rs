//! Signing with the keys as they are on disk at the moment.

use std::path::Path;

use jiff::Timestamp;
use runtime::watched::{Watched, WatchedError};

use super::access::{Bearer, Issuer, JwkSet, KeyRing};

/// Signs access tokens with the current key of a ring that may be rotated under it.
#[derive(Clone, Debug)]
pub struct Signer {
    issuer: Issuer,
    ring: Watched<KeyRing>,
    published: Watched<JwkSet>,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the claims cannot be written as JSON: {0}")]
pub struct SignError(#[from] serde_json::Error);

impl Signer {
    /// Signs for `issuer` with the ring in `signing_keys`; `published` holds the public keys that all services know.
    pub fn load(issuer: Issuer, signing_keys: &Path, published: &Path) -> Result<Self, WatchedError> {
        Ok(Self {
            issuer,
            ring: Watched::load(signing_keys, KeyRing::parse)?,
            published: Watched::load(published, |json| serde_json::from_slice::<JwkSet>(json))?,
        })
    }

    /// A token for `bearer`.
    pub fn sign(&self, bearer: Bearer<'_>, now: Timestamp) -> Result<String, SignError> {
        let claims = self.issuer.claims(bearer, now, &mut rand::rng());
        Ok(self.ring.get().sign(&claims)?)
    }

    /// Id of the key that signs at the moment.
    #[must_use]
    pub fn current_key(&self) -> String {
        self.ring.get().current().to_owned()
    }

    /// The public keys that check our tokens.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        self.ring.get().jwks(&self.published.get())
    }
}
