//! A conversation's data key and the form in which it is stored.

use std::fmt;

use contract::id::{ConversationId, MessageId};
use mongodb::bson::{Binary, spec::BinarySubtype};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::aead::{decrypt, derive, encrypt};
use super::{KEY_LENGTH, KeyRing, NONCE_LENGTH};

/// The key that seals the messages of one conversation. It lives in memory only.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_LENGTH]>);

/// A data key as it is stored: encrypted by the key-encryption key `keyId`, bound to its conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrappedKey {
    /// Id of the key-encryption key in the ring.
    pub key_id: String,
    /// 12 bytes.
    nonce: Binary,
    /// 32 bytes of key and 16 of tag.
    ciphertext: Binary,
}

/// Why a stored data key could not be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnwrapError {
    /// The ring has lost the key that wrapped it.
    #[error("the key ring holds no key `{0}`")]
    UnknownKey(String),
    /// The stored bytes are not what was wrapped for this conversation.
    #[error("the wrapped data key is damaged or belongs to another conversation")]
    Damaged,
}

impl DataKey {
    /// Draws a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// The key that seals the texts of one message, and nothing else. So however many messages a conversation has, no key is used more
    /// often than a message has been edited, which is bounded, far below the 2^32 uses that random nonces allow a key (NIST SP 800-38D, 8.3).
    pub(super) fn message_key(&self, conversation: ConversationId, message: MessageId) -> Zeroizing<[u8; KEY_LENGTH]> {
        derive(&self.0, format!("chatplatform/message-key/1/{conversation}/{message}").as_bytes())
    }

    /// Wraps the key by the ring's current key-encryption key, for this conversation.
    pub fn wrap(
        &self,
        keys: &KeyRing,
        conversation: ConversationId,
        rng: &mut impl CryptoRng,
    ) -> Result<WrappedKey, UnwrapError> {
        let key_id = keys.current_id().to_owned();
        let key = keys.key(&key_id).ok_or_else(|| UnwrapError::UnknownKey(key_id.clone()))?;
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let aad = associated_data(conversation, &key_id);
        let ciphertext =
            encrypt(&wrapping_key(key, conversation), nonce, &aad, &*self.0).map_err(|_| UnwrapError::Damaged)?;
        Ok(WrappedKey { key_id, nonce: binary(nonce.to_vec()), ciphertext: binary(ciphertext) })
    }
}

impl WrappedKey {
    /// Unwraps the key by the ring's key of the same id.
    pub fn unwrap(&self, ring: &KeyRing, conversation: ConversationId) -> Result<DataKey, UnwrapError> {
        let key = ring.key(&self.key_id).ok_or_else(|| UnwrapError::UnknownKey(self.key_id.clone()))?;
        let aad = associated_data(conversation, &self.key_id);
        let key = wrapping_key(key, conversation);
        let bytes = decrypt(&key, &self.nonce.bytes, &aad, &self.ciphertext.bytes).map_err(|_| UnwrapError::Damaged)?;
        let mut data_key = Zeroizing::new([0; KEY_LENGTH]);
        if bytes.len() != KEY_LENGTH {
            return Err(UnwrapError::Damaged);
        }
        data_key.copy_from_slice(&bytes);
        Ok(DataKey(data_key))
    }
}

pub(super) fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// The key that wraps the data key of one conversation: a key-encryption key itself may wrap any number of them.
fn wrapping_key(key: &[u8; KEY_LENGTH], conversation: ConversationId) -> Zeroizing<[u8; KEY_LENGTH]> {
    derive(key, format!("chatplatform/wrapping-key/1/{conversation}").as_bytes())
}

/// The conversation's id has a fixed length, so nothing can be moved between the parts.
fn associated_data(conversation: ConversationId, key_id: &str) -> Vec<u8> {
    format!("chatplatform/data-key/1/{conversation}/{key_id}").into_bytes()
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn ring(current: &str, keys: &[(&str, u8)]) -> KeyRing {
        let keys: serde_json::Map<_, _> =
            keys.iter().map(|(id, fill)| ((*id).to_owned(), STANDARD.encode([*fill; 32]).into())).collect();
        KeyRing::parse(serde_json::json!({"current": current, "keys": keys}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_wrapped_key_comes_back_for_its_own_conversation_only() {
        let ring = ring("mk-1", &[("mk-1", 1)]);
        let here = ConversationId::generate();
        let key = DataKey::generate(&mut rand::rng());
        let wrapped = key.wrap(&ring, here, &mut rand::rng()).unwrap();
        assert_eq!(wrapped.unwrap(&ring, here).unwrap().0, key.0);
        assert_eq!(wrapped.unwrap(&ring, ConversationId::generate()).unwrap_err(), UnwrapError::Damaged);
    }

    #[test]
    fn a_key_wrapped_before_a_rotation_is_read_after_it_and_not_once_its_key_is_gone() {
        let here = ConversationId::generate();
        let key = DataKey::generate(&mut rand::rng());
        let wrapped = key.wrap(&ring("mk-1", &[("mk-1", 1)]), here, &mut rand::rng()).unwrap();
        let both = ring("mk-2", &[("mk-1", 1), ("mk-2", 2)]);
        assert_eq!(wrapped.unwrap(&both, here).unwrap().0, key.0);
        assert_eq!(key.wrap(&both, here, &mut rand::rng()).unwrap().key_id, "mk-2");
        let gone = ring("mk-2", &[("mk-2", 2)]);
        assert_eq!(wrapped.unwrap(&gone, here).unwrap_err(), UnwrapError::UnknownKey("mk-1".into()));
    }

    #[test]
    fn a_damaged_wrapped_key_is_refused() {
        let ring = ring("mk-1", &[("mk-1", 1)]);
        let here = ConversationId::generate();
        let wrapped = DataKey::generate(&mut rand::rng()).wrap(&ring, here, &mut rand::rng()).unwrap();
        for at in 0..wrapped.ciphertext.bytes.len() {
            let mut damaged = wrapped.clone();
            damaged.ciphertext.bytes[at] ^= 1;
            assert_eq!(damaged.unwrap(&ring, here).unwrap_err(), UnwrapError::Damaged);
        }
        let mut short = wrapped.clone();
        short.nonce.bytes.pop();
        assert_eq!(short.unwrap(&ring, here).unwrap_err(), UnwrapError::Damaged);
    }
}
