//! How secrets that have to be read again are kept: encrypted with AES-256-GCM (NIST SP 800-38D) under a key that the
//! database never sees, bound to whose they are.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use contract::id::UserId;
use rand::CryptoRng;
use serde::Deserialize;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// The keys that secrets of accounts are encrypted with, by id: new ones under the current key, old ones can be read.
pub struct KeyRing {
    current: String,
    keys: BTreeMap<String, Zeroizing<[u8; KEY_BYTES]>>,
}

/// A secret as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Id of the key in the ring.
    pub key_id: String,
    /// 12 bytes, drawn anew for each.
    pub nonce: Vec<u8>,
    /// The secret and 16 bytes of tag.
    pub ciphertext: Vec<u8>,
}

/// Why a file holds no key ring. Nothing of the file is quoted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Not the JSON of a key ring.
    #[error("not JSON of the form {{\"current\": <id>, \"keys\": {{<id>: <base64>}}}} (line {line}, column {column})")]
    Malformed {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// A key is of another size.
    #[error("key {0:?} is not base64 of exactly 32 bytes")]
    BadKey(String),
    /// `current` names no key.
    #[error("the current key {0:?} is not among the keys")]
    NoCurrent(String),
}

/// Why a secret cannot be read or kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The ring has lost the key.
    #[error("the key ring has no key {0:?}")]
    UnknownKey(String),
    /// The bytes are not what was kept for this user.
    #[error("the secret is damaged or belongs to another user")]
    Damaged,
}

impl KeyRing {
    /// Reads `{"current": "ak-1", "keys": {"ak-1": "<base64 of 32 bytes>"}}`.
    pub fn parse(file: &[u8]) -> Result<Self, KeyRingError> {
        #[derive(Deserialize)]
        struct File {
            current: String,
            keys: BTreeMap<String, String>,
        }

        let File { current, keys } = serde_json::from_slice(file)
            .map_err(|fault| KeyRingError::Malformed { line: fault.line(), column: fault.column() })?;
        let mut read = BTreeMap::new();
        for (id, encoded) in keys {
            let encoded = Zeroizing::new(encoded);
            let bytes = BASE64_STANDARD.decode(encoded.trim()).map(Zeroizing::new).ok();
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            match bytes {
                Some(bytes) if bytes.len() == KEY_BYTES => key.copy_from_slice(&bytes),
                _ => return Err(KeyRingError::BadKey(id)),
            }
            read.insert(id, key);
        }
        if !read.contains_key(&current) {
            return Err(KeyRingError::NoCurrent(current));
        }
        Ok(Self { current, keys: read })
    }

    /// Encrypts a secret of `user` under the current key.
    pub fn seal(&self, user: UserId, secret: &[u8], rng: &mut impl CryptoRng) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let ciphertext = self
            .cipher(&self.current)?
            .encrypt(&Nonce::from(nonce), Payload { msg: secret, aad: &bound_to(user) })
            .map_err(|_| SealError::Damaged)?;
        Ok(Sealed { key_id: self.current.clone(), nonce: nonce.to_vec(), ciphertext })
    }

    /// Decrypts what was kept for `user`.
    pub fn open(&self, user: UserId, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let nonce = <[u8; NONCE_BYTES]>::try_from(sealed.nonce.as_slice()).map_err(|_| SealError::Damaged)?;
        self.cipher(&sealed.key_id)?
            .decrypt(&Nonce::from(nonce), Payload { msg: &sealed.ciphertext, aad: &bound_to(user) })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Damaged)
    }

    /// Whether a secret is kept under the current key.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key_id == self.current
    }

    fn cipher(&self, id: &str) -> Result<Aes256Gcm, SealError> {
        let key = self.keys.get(id).ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        Ok(Aes256Gcm::new((&**key).into()))
    }
}

/// Moved to another account, a secret does not open.
fn bound_to(user: UserId) -> Vec<u8> {
    format!("chatplatform/second-step/1/{user}").into_bytes()
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyRing").field("current", &self.current).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ring(current: &str, keys: &[(&str, u8)]) -> Result<KeyRing, KeyRingError> {
        let keys: BTreeMap<&str, String> =
            keys.iter().map(|(id, byte)| (*id, BASE64_STANDARD.encode([*byte; KEY_BYTES]))).collect();
        KeyRing::parse(serde_json::json!({"current": current, "keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn a_sealed_secret_opens_for_its_user_alone() {
        let (ada, eve) = (UserId::generate(), UserId::generate());
        let ring = ring("ak-1", &[("ak-1", 1)]).unwrap();
        let sealed = ring.seal(ada, b"the secret", &mut rand::rng()).unwrap();
        assert!(!sealed.ciphertext.windows(6).any(|window| window == b"secret"));
        assert_eq!(**ring.open(ada, &sealed).unwrap(), *b"the secret");
        assert_eq!(ring.open(eve, &sealed), Err(SealError::Damaged));
    }

    #[test]
    fn no_changed_bit_passes() {
        let ada = UserId::generate();
        let ring = ring("ak-1", &[("ak-1", 1)]).unwrap();
        let sealed = ring.seal(ada, b"the secret", &mut rand::rng()).unwrap();
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert_eq!(ring.open(ada, &changed), Err(SealError::Damaged));
        }
    }

    #[test]
    fn after_a_rotation_old_secrets_open_and_are_known_to_be_old() {
        let ada = UserId::generate();
        let before = ring("ak-1", &[("ak-1", 1)]).unwrap();
        let sealed = before.seal(ada, b"the secret", &mut rand::rng()).unwrap();
        let after = ring("ak-2", &[("ak-1", 1), ("ak-2", 2)]).unwrap();
        assert!(before.is_current(&sealed) && !after.is_current(&sealed));
        assert_eq!(**after.open(ada, &sealed).unwrap(), *b"the secret");
        let without = ring("ak-2", &[("ak-2", 2)]).unwrap();
        assert_eq!(without.open(ada, &sealed), Err(SealError::UnknownKey("ak-1".to_owned())));
    }

    #[test]
    fn a_broken_ring_is_refused_and_not_quoted() {
        let malformed = KeyRing::parse(b"{\"current\": \"sesame").unwrap_err();
        assert!(!malformed.to_string().contains("sesame"));
        assert_eq!(ring("ak-2", &[("ak-1", 1)]).unwrap_err(), KeyRingError::NoCurrent("ak-2".to_owned()));
        let short = br#"{"current": "ak-1", "keys": {"ak-1": "AAAA"}}"#;
        assert_eq!(KeyRing::parse(short).unwrap_err(), KeyRingError::BadKey("ak-1".to_owned()));
    }
}
