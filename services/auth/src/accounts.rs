//! Accounts: what a person is called here, and the rules a name must keep.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contract::claims::Role;
use contract::event::UserUpdated;
use contract::id::{MediaId, UserId};
use contract::user::{Me, User};
use jiff::Timestamp;
use runtime::idempotency::IdempotencyKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::password::PasswordHash;
use crate::second_step::{Pending, SecondStep};

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Identity, for ever.
    pub id: UserId,
    /// Where e-mail goes; unique.
    pub email: Email,
    /// Name to log in with and to be found by; unique.
    pub username: Username,
    /// Name shown to others.
    pub display_name: DisplayName,
    /// Picture, as the media service knows it.
    pub avatar: Option<MediaId>,
    /// When mail to the address was shown to arrive.
    pub email_verified_at: Option<Timestamp>,
    /// Until when mail to the address has to be shown to arrive, or logging in is over; absent where nobody asks.
    pub verify_by: Option<Timestamp>,
    /// The password as it is kept.
    pub password: PasswordHash,
    /// The second step of a log-in.
    pub second_step: Option<SecondStep>,
    /// A second step that is being set up.
    pub pending_second_step: Option<Pending>,
    /// Counts the moments at which all sessions ended: one that was opened at an earlier count is over, whatever else
    /// went wrong.
    pub epoch: i64,
    /// Since when nobody may log in.
    pub disabled_at: Option<Timestamp>,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// The key of the request that made the account, if it had one.
    pub registered_by: Option<KeyDigest>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When a name last changed.
    pub updated_at: Timestamp,
}

impl Account {
    /// The account as others see it.
    #[must_use]
    pub fn public(&self) -> User {
        User {
            id: self.id,
            username: self.username.to_string(),
            display_name: self.display_name.to_string(),
            avatar_id: self.avatar,
            created_at: self.created_at,
        }
    }

    /// The account as `user.updated` tells it.
    #[must_use]
    pub fn updated(&self) -> UserUpdated {
        UserUpdated {
            user_id: self.id,
            username: self.username.to_string(),
            display_name: self.display_name.to_string(),
            avatar_id: self.avatar,
        }
    }

    /// Whether the account has `role`.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the time for showing that mail arrives is over.
    #[must_use]
    pub fn must_verify(&self, now: Timestamp) -> bool {
        self.email_verified_at.is_none() && self.verify_by.is_some_and(|by| now >= by)
    }

    /// The account as its owner sees it.
    #[must_use]
    pub fn own(&self) -> Me {
        Me {
            user: self.public(),
            email: self.email.to_string(),
            email_verified: self.email_verified_at.is_some(),
            second_step: self.second_step.is_some(),
            roles: self.roles.clone(),
        }
    }
}

/// SHA-256 of an `Idempotency-Key`: all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(String);

impl From<&IdempotencyKey> for KeyDigest {
    fn from(key: &IdempotencyKey) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_str())))
    }
}

/// The picture that an account is to have: one that the media service knows, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NewAvatar(pub Option<MediaId>);

/// A name that two accounts cannot share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueName {
    /// The e-mail address.
    Email,
    /// The user name.
    Username,
}

/// What decides whether two names are the same: normalisation form KC in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameKey(String);

impl NameKey {
    /// The key of `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        // Normalised again, because lower case can take a character out of the form.
        Self(name.nfkc().collect::<String>().to_lowercase().nfkc().collect())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a name, said to the person who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameFault(&'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks a name as a person typed it.
            pub fn parse(text: &str) -> Result<Self, NameFault> {
                let text = text.trim().nfkc().collect::<String>();
                $parse(&text).map_or(Ok(Self(text)), |fault| Err(NameFault(fault)))
            }

            /// What decides whether two of them are the same.
            #[must_use]
            pub fn key(&self) -> NameKey {
                NameKey::of(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}

name!(
    /// An e-mail address. Checked for what RFC 5321 never allows; whether it receives mail only a mail can tell.
    Email, email_fault
);
name!(
    /// A user name: 3 to 32 of the letters a-z, digits, `.`, `_` and `-`, beginning and ending with a letter or digit.
    /// No other alphabet, so that no two names look alike; the display name has no such limit.
    Username, username_fault
);
name!(
    /// A display name: 1 to 64 characters on one line.
    DisplayName, display_name_fault
);

impl From<&Username> for DisplayName {
    fn from(username: &Username) -> Self {
        Self(username.0.clone())
    }
}

impl Email {
    /// What follows the @.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_local, domain)| domain)
    }

    /// Whether addresses can be of this domain.
    #[must_use]
    pub fn is_domain(text: &str) -> bool {
        text.len() <= 253 && text.contains('.') && text.split('.').all(is_domain_label)
    }
}

fn is_domain_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|character| character.is_alphanumeric() || character == '-')
}

fn email_fault(text: &str) -> Option<&'static str> {
    const NOT_AN_ADDRESS: Option<&str> = Some("is not an e-mail address");
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    let allowed = |character: char| {
        !character.is_whitespace() && !character.is_control() && !"@,;:<>()[]\\\"".contains(character)
    };
    if text.len() > 254 || local.len() > 64 {
        return Some("is too long for an e-mail address");
    }
    let local_is_fine = !local.is_empty()
        && local.chars().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    if local_is_fine && Email::is_domain(domain) { None } else { NOT_AN_ADDRESS }
}

fn username_fault(text: &str) -> Option<&'static str> {
    if !(3..=32).contains(&text.chars().count()) {
        return Some("must have 3 to 32 characters");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !text.bytes().all(allowed) {
        return Some("may have the letters a-z, digits, '.', '_' and '-' only");
    }
    if ends(text.bytes().next()) && ends(text.bytes().next_back()) {
        None
    } else {
        Some("must begin and end with a letter or a digit")
    }
}

fn display_name_fault(text: &str) -> Option<&'static str> {
    if !(1..=64).contains(&text.chars().count()) {
        return Some("must have 1 to 64 characters");
    }
    text.chars().any(is_invisible).then_some("must not have control characters")
}

/// Controls, line and paragraph separators, and the marks that turn the direction of the text around a name.
fn is_invisible(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_email_address_has_a_local_part_and_a_domain() {
        for fine in ["ada@example.org", "a.b+c@sub.example.co.uk", "Ünal@exämple.org", "o'neil@example.org"] {
            assert!(Email::parse(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "a b@example.org",
            "a@b@example.org",
            "ada@-x.org",
            "ada@x..org",
            ".ada@example.org",
            "ada.@example.org",
            "a..b@example.org",
            "ada@exa mple.org",
            "ada@example.org\nbcc:eve@example.org",
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_username_is_plain_letters_digits_and_a_few_signs() {
        for fine in ["ada", "Ada.Lovelace", "a_b-c", "007", "x".repeat(32).as_str()] {
            assert!(Username::parse(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "ab", "ada lovelace", "_ada", "ada.", "ада", "ada@home", "x".repeat(33).as_str()] {
            assert!(Username::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_display_name_may_be_in_any_script_but_on_one_line() {
        for fine in ["Ada", "Ада Лавлейс", "エイダ", "👩‍💻 Ada"] {
            assert!(DisplayName::parse(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "   ", "a\nb", "a\u{202e}b", "x".repeat(65).as_str()] {
            assert!(DisplayName::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_or_width_are_the_same() {
        assert_eq!(NameKey::of("Ada@Example.ORG"), NameKey::of("ada@example.org"));
        assert_eq!(NameKey::of("ＡＤＡ"), NameKey::of("ada"));
        assert_ne!(NameKey::of("ada"), NameKey::of("eda"));
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_itself(text in "\\PC{0,40}") {
            let key = NameKey::of(&text);
            prop_assert_eq!(NameKey::of(key.as_str()), key);
        }

        #[test]
        fn whatever_is_typed_is_a_name_or_a_fault(text in ".{0,100}") {
            let _ = (Email::parse(&text), Username::parse(&text), DisplayName::parse(&text));
        }
    }
}
