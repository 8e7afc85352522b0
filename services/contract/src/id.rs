//! Identifiers: [ULID](https://github.com/ulid/spec)s, one type per kind of thing.
//!
//! They sort by the time they were made (millisecond resolution) and are written as 26 characters of
//! Crockford base32, upper case. Only that canonical form is read back, so that an id has one spelling.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

/// The text is not the canonical form of a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected the 26 upper-case characters of a ULID")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// A fresh id of the moment `now`, its 80 random bits drawn from `rng`.
            pub fn new(now: Timestamp, rng: &mut (impl rand::Rng + ?Sized)) -> Self {
                Self(ulid_at(now, rng))
            }

            /// A fresh id of the present moment, its random bits from the thread's generator.
            #[must_use]
            pub fn generate() -> Self {
                Self(Ulid::generate())
            }

            /// When the id was made, to the millisecond.
            #[must_use]
            pub fn timestamp(self) -> Timestamp {
                i64::try_from(self.0.timestamp_ms())
                    .ok()
                    .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                    .unwrap_or(Timestamp::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": "A ULID.",
                    "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
                })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text).map(Self)
            }
        }
    };
}

id!(
    /// A person's account.
    UserId
);
id!(
    /// One log-in of a user: all tokens refreshed from it share it.
    SessionId
);
id!(
    /// A conversation, direct or group.
    ConversationId
);
id!(
    /// A message within a conversation.
    MessageId
);
id!(
    /// An uploaded file.
    MediaId
);
id!(
    /// A notification to one user.
    NotificationId
);
id!(
    /// An event on the broker; consumers tell duplicates by it.
    EventId
);
id!(
    /// A device registered for push.
    DeviceId
);
id!(
    /// One entry of the audit log.
    AuditId
);

fn ulid_at(now: Timestamp, rng: &mut (impl rand::Rng + ?Sized)) -> Ulid {
    let random = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    // Times before 1970 do not occur; they would sort first.
    Ulid::from_parts(u64::try_from(now.as_millisecond()).unwrap_or(0), random)
}

fn parse(text: &str) -> Result<Ulid, InvalidId> {
    let ulid = Ulid::from_string(text).map_err(|_| InvalidId)?;
    // The decoder takes lower case and drops the two bits that 26 characters have too many.
    if ulid.array_to_str(&mut [0; ulid::ULID_LEN]) == text { Ok(ulid) } else { Err(InvalidId) }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Ulid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the 26 upper-case characters of a ULID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ulid, E> {
        parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_read_back_as_it_was_written(bits: u128) {
            let id = MessageId(Ulid::from_bytes(bits.to_be_bytes()));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<MessageId>(&json).unwrap(), id);
        }

        #[test]
        fn any_text_is_an_id_or_refused_but_never_two_spellings(text in ".{0,30}") {
            if let Ok(id) = text.parse::<UserId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn a_later_id_sorts_after_an_earlier_one(ms in 0_i64..4_000_000_000_000, later in 1_i64..1_000_000) {
            let at = |ms| Timestamp::from_millisecond(ms).unwrap();
            let mut rng = rand::rng();
            let first = MessageId::new(at(ms), &mut rng);
            let second = MessageId::new(at(ms + later), &mut rng);
            prop_assert!(first < second);
            prop_assert!(first.to_string() < second.to_string());
            prop_assert_eq!(first.timestamp(), at(ms));
        }
    }

    #[test]
    fn a_text_with_more_bits_than_an_id_has_is_refused() {
        assert_eq!("8ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<UserId>(), Err(InvalidId));
        assert!("7ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<UserId>().is_ok());
    }

    #[test]
    fn lower_case_is_another_spelling_and_refused() {
        assert_eq!("01hzy0000000000000000000aa".parse::<UserId>(), Err(InvalidId));
    }
}
