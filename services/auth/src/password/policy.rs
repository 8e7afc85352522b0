//! Which passwords are accepted.
//!
//! NIST SP 800-63B section 5.1.1.2: length is what counts, no rules of composition, Unicode is normalised before it is
//! hashed, and what everybody tries first is refused.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// The commonest passwords of published leaks that are long enough to be accepted otherwise, in lower case, one a line.
static COMMONEST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("commonest.txt").lines().collect());

/// A password in Unicode normalisation form KC, so that the same keys pressed on another system give the same bytes.
///
/// Its length is 1 to [`Password::MAX_CHARACTERS`] characters; whether it may be chosen anew is a question for
/// [`Password::chosen`]. Never shown by `Debug`.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// Why a password may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer than [`Password::MIN_CHARACTERS`] characters.
    #[error("must have at least {} characters", Password::MIN_CHARACTERS)]
    TooShort,
    /// More than [`Password::MAX_CHARACTERS`] characters.
    #[error("must have at most {} characters", Password::MAX_CHARACTERS)]
    TooLong,
    /// It is on the list of the commonest, or one character over and over.
    #[error("is one of the commonest passwords; choose another")]
    Common,
    /// It is the account's own e-mail address or name.
    #[error("must differ from the e-mail address and the name of the account")]
    OwnName,
}

impl Password {
    /// Fewest characters of a chosen password.
    pub const MIN_CHARACTERS: usize = 8;
    /// Most characters of any password: more than a sentence, little enough to be hashed at no extra cost.
    pub const MAX_CHARACTERS: usize = 256;

    /// A password that a person chooses for an account; `own_names` are the account's e-mail address and names.
    pub fn chosen(text: &str, own_names: &[&str]) -> Result<Self, PasswordFault> {
        let password = Self::presented(text).ok_or(PasswordFault::TooLong)?;
        let normal = password.expose();
        if normal.chars().count() < Self::MIN_CHARACTERS {
            return Err(PasswordFault::TooShort);
        }
        let folded = normal.to_lowercase();
        if COMMONEST.contains(folded.as_str()) || is_one_character(&folded) {
            return Err(PasswordFault::Common);
        }
        let is_own = |name: &&str| {
            let name = name.nfkc().collect::<String>().to_lowercase();
            let local_part = name.split('@').next().unwrap_or_default();
            folded == name || folded == local_part
        };
        if own_names.iter().any(is_own) {
            return Err(PasswordFault::OwnName);
        }
        Ok(password)
    }

    /// A password that nobody knows, for an account whose owner has not chosen one yet: 256 random bits.
    pub fn drawn(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// A password presented at log-in: only what could never have been accepted (`None`) is turned away, so that a
    /// stricter list locks nobody out.
    #[must_use]
    pub fn presented(text: &str) -> Option<Self> {
        // Bounded before it is normalised: one character may become eighteen.
        if text.chars().nth(Self::MAX_CHARACTERS).is_some() {
            return None;
        }
        let normal = text.nfkc().collect::<String>();
        let length = normal.chars().count();
        (1..=Self::MAX_CHARACTERS).contains(&length).then(|| Self(normal.into()))
    }

    /// The normalised text, to be hashed.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn is_one_character(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    characters.all(|character| Some(character) == first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fault(text: &str) -> Option<PasswordFault> {
        Password::chosen(text, &["ada@example.org", "ada.lovelace"]).err()
    }

    #[test]
    fn seven_characters_are_too_few_and_eight_are_enough() {
        assert_eq!(fault("k3;Vq!x"), Some(PasswordFault::TooShort));
        assert_eq!(fault("k3;Vq!xZ"), None);
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(fault("пароль7"), Some(PasswordFault::TooShort));
        let longest = "日".repeat(200) + &"月".repeat(56);
        assert_eq!(fault(&longest), None);
        assert_eq!(fault(&(longest + "火")), Some(PasswordFault::TooLong));
    }

    #[test]
    fn the_commonest_are_refused_in_any_case() {
        assert_eq!(fault("password123"), Some(PasswordFault::Common));
        assert_eq!(fault("QwertyUIOP"), Some(PasswordFault::Common));
        assert_eq!(fault("~~~~~~~~~~"), Some(PasswordFault::Common));
    }

    #[test]
    fn the_commonest_are_refused_in_full_width_letters_too() {
        assert_eq!(fault("ｐａｓｓｗｏｒｄ１２３"), Some(PasswordFault::Common));
    }

    #[test]
    fn the_own_address_or_name_is_refused() {
        assert_eq!(fault("Ada@Example.org"), Some(PasswordFault::OwnName));
        assert_eq!(fault("ADA.lovelace"), Some(PasswordFault::OwnName));
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let composed = Password::presented("caf\u{e9} au lait").unwrap();
        let decomposed = Password::presented("cafe\u{301} au lait").unwrap();
        assert_eq!(composed.expose(), decomposed.expose());
    }

    #[test]
    fn the_text_is_never_shown() {
        let password = Password::presented("open sesame, please").unwrap();
        assert!(!format!("{password:?}").contains("sesame"));
    }

    #[test]
    fn every_line_of_the_list_could_otherwise_be_chosen() {
        for line in include_str!("commonest.txt").lines() {
            assert_eq!(line, line.to_lowercase());
            assert!(line.chars().count() >= Password::MIN_CHARACTERS, "{line}");
        }
    }
}
