//! The sealed text of one message.

use contract::id::{ConversationId, MessageId, UserId};
use mongodb::bson::Binary;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::aead::{decrypt, encrypt};
use super::data_key::binary;
use super::{DataKey, NONCE_LENGTH};

/// What a sealed text is bound to: moved to another conversation, message or sender, it does not open; nor does an earlier text of the
/// same message in the place of a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The conversation of the message.
    pub conversation: ConversationId,
    /// The message itself.
    pub message: MessageId,
    /// Who wrote it.
    pub sender: UserId,
    /// How often the text had been edited: 0 for the first one.
    pub revision: u32,
}

/// A text as it is stored and as it travels between replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// 12 bytes, drawn anew for every text and every edit.
    nonce: Binary,
    /// As long as the text's UTF-8, and 16 bytes of tag.
    ciphertext: Binary,
}

/// The stored bytes are not what was sealed for this message.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the sealed text is damaged or belongs to another message")]
pub struct OpenError;

impl Sealed {
    /// Encrypts a text under the conversation's key.
    ///
    /// # Errors
    /// Only for a text longer than AES-GCM allows (64 GiB).
    pub fn seal(key: &DataKey, bound: Binding, text: &str, rng: &mut impl CryptoRng) -> Result<Self, OpenError> {
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let key = key.message_key(bound.conversation, bound.message);
        let ciphertext = encrypt(&key, nonce, &bound.associated_data(), text.as_bytes()).map_err(|_| OpenError)?;
        Ok(Self { nonce: binary(nonce.to_vec()), ciphertext: binary(ciphertext) })
    }

    /// Decrypts the text, if it was sealed under this key for this message.
    pub fn open(&self, key: &DataKey, bound: Binding) -> Result<String, OpenError> {
        let key = key.message_key(bound.conversation, bound.message);
        let text = decrypt(&key, &self.nonce.bytes, &bound.associated_data(), &self.ciphertext.bytes)
            .map_err(|_| OpenError)?;
        std::str::from_utf8(&text).map(str::to_owned).map_err(|_| OpenError)
    }
}

impl Binding {
    /// Identifiers have a fixed length, so two bindings never share a spelling.
    fn associated_data(&self) -> Vec<u8> {
        let Self { conversation, message, sender, revision } = self;
        format!("chatplatform/message/1/{conversation}/{message}/{sender}/{revision}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn binding() -> Binding {
        let (conversation, message, sender) = (ConversationId::generate(), MessageId::generate(), UserId::generate());
        Binding { conversation, message, sender, revision: 0 }
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_again(text in ".{0,400}") {
            let (key, bound) = (DataKey::generate(&mut rand::rng()), binding());
            let sealed = Sealed::seal(&key, bound, &text, &mut rand::rng()).unwrap();
            prop_assert_eq!(sealed.open(&key, bound).unwrap(), text);
        }

        #[test]
        fn no_changed_bit_passes(text in ".{1,60}", at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (key, bound) = (DataKey::generate(&mut rand::rng()), binding());
            let mut sealed = Sealed::seal(&key, bound, &text, &mut rand::rng()).unwrap();
            let total = sealed.nonce.bytes.len() + sealed.ciphertext.bytes.len();
            let at = at.index(total);
            match at.checked_sub(NONCE_LENGTH) {
                None => sealed.nonce.bytes[at] ^= 1 << bit,
                Some(at) => sealed.ciphertext.bytes[at] ^= 1 << bit,
            }
            prop_assert_eq!(sealed.open(&key, bound), Err(OpenError));
        }

        #[test]
        fn no_truncated_text_passes(text in ".{0,60}", keep in any::<prop::sample::Index>()) {
            let (key, bound) = (DataKey::generate(&mut rand::rng()), binding());
            let mut sealed = Sealed::seal(&key, bound, &text, &mut rand::rng()).unwrap();
            let keep = keep.index(sealed.ciphertext.bytes.len());
            sealed.ciphertext.bytes.truncate(keep);
            prop_assert_eq!(sealed.open(&key, bound), Err(OpenError));
        }
    }

    #[test]
    fn a_text_moved_elsewhere_does_not_open() {
        let (key, bound, other) = (DataKey::generate(&mut rand::rng()), binding(), binding());
        let sealed = Sealed::seal(&key, bound, "meet at noon", &mut rand::rng()).unwrap();
        for moved in [
            Binding { conversation: other.conversation, ..bound },
            Binding { message: other.message, ..bound },
            Binding { sender: other.sender, ..bound },
        ] {
            assert_eq!(sealed.open(&key, moved), Err(OpenError));
        }
        assert_eq!(sealed.open(&DataKey::generate(&mut rand::rng()), bound), Err(OpenError));
    }

    #[test]
    fn a_text_that_has_been_edited_does_not_open_in_the_place_of_the_new_one() {
        let (key, first) = (DataKey::generate(&mut rand::rng()), binding());
        let edited = Binding { revision: 1, ..first };
        let old = Sealed::seal(&key, first, "I agree", &mut rand::rng()).unwrap();
        let new = Sealed::seal(&key, edited, "I refuse", &mut rand::rng()).unwrap();
        assert_eq!(old.open(&key, edited), Err(OpenError));
        assert_eq!(new.open(&key, first), Err(OpenError));
    }

    #[test]
    fn each_message_is_sealed_by_a_key_of_its_own() {
        let (key, bound, other) = (DataKey::generate(&mut rand::rng()), binding(), binding());
        let of = |conversation, message| key.message_key(conversation, message).to_vec();
        let here = of(bound.conversation, bound.message);
        assert_ne!(here, of(bound.conversation, other.message));
        assert_ne!(here, of(other.conversation, bound.message));
        assert_ne!(here, key.bytes().to_vec());
    }

    #[test]
    fn two_texts_with_swapped_nonces_do_not_open() {
        let (key, bound) = (DataKey::generate(&mut rand::rng()), binding());
        let mut one = Sealed::seal(&key, bound, "one", &mut rand::rng()).unwrap();
        let mut two = Sealed::seal(&key, bound, "two", &mut rand::rng()).unwrap();
        assert_ne!(one.nonce, two.nonce);
        std::mem::swap(&mut one.nonce, &mut two.nonce);
        assert_eq!(one.open(&key, bound), Err(OpenError));
        assert_eq!(two.open(&key, bound), Err(OpenError));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let (key, bound) = (DataKey::generate(&mut rand::rng()), binding());
        let one = Sealed::seal(&key, bound, "again", &mut rand::rng()).unwrap();
        let two = Sealed::seal(&key, bound, "again", &mut rand::rng()).unwrap();
        assert_ne!(one.ciphertext, two.ciphertext);
    }
}
