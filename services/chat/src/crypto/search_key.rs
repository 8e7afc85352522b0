//! Blind-index tokens: what a message is found by without its text being kept in the clear.

use contract::id::ConversationId;
use hmac::Mac as _;
use mongodb::bson::Binary;
use zeroize::Zeroizing;

use super::aead::{derive, keyed};
use super::data_key::binary;
use super::{DataKey, KEY_LENGTH};

/// Length of a token in bytes: the first 64 bits of an HMAC-SHA-256. Two words of one conversation that share a token are found together
/// and told apart once their texts are open.
const TOKEN_LENGTH: usize = 8;

/// The key by which the words of one conversation become tokens. The same word has another token in each conversation.
pub struct SearchKey(Zeroizing<[u8; KEY_LENGTH]>);

impl DataKey {
    /// The search key of the conversation that this data key belongs to. It is gone with the data key.
    #[must_use]
    pub fn search_key(&self, conversation: ConversationId) -> SearchKey {
        SearchKey(derive(self.bytes(), format!("chatplatform/search-key/1/{conversation}").as_bytes()))
    }
}

impl SearchKey {
    /// The token of a word.
    #[must_use]
    pub fn token(&self, word: &str) -> Binary {
        let mut mac = keyed(&self.0);
        mac.update(word.as_bytes());
        binary(mac.finalize().into_bytes()[..TOKEN_LENGTH].to_vec())
    }

    /// The tokens of words, sorted: their order tells nothing of that of the words.
    #[must_use]
    pub fn tokens<'a>(&self, words: impl IntoIterator<Item = &'a String>) -> Vec<Binary> {
        let mut tokens: Vec<Binary> = words.into_iter().map(|word| self.token(word)).collect();
        tokens.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_token_in_a_conversation_and_another_in_each_other() {
        let (key, here, there) =
            (DataKey::generate(&mut rand::rng()), ConversationId::generate(), ConversationId::generate());
        let token = key.search_key(here).token("noon");
        assert_eq!(token.bytes.len(), TOKEN_LENGTH);
        assert_eq!(key.search_key(here).token("noon"), token);
        assert_ne!(key.search_key(here).token("moon"), token);
        assert_ne!(key.search_key(there).token("noon"), token);
        assert_ne!(DataKey::generate(&mut rand::rng()).search_key(here).token("noon"), token);
    }

    #[test]
    fn tokens_stand_in_an_order_of_their_own() {
        let key = DataKey::generate(&mut rand::rng()).search_key(ConversationId::generate());
        let words = ["at", "meet", "noon"].map(str::to_owned);
        let backwards: Vec<String> = words.iter().rev().cloned().collect();
        assert_eq!(key.tokens(&words), key.tokens(&backwards));
    }
}
