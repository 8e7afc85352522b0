//! Times as `MongoDB` keeps them: BSON dates, to the millisecond.

use jiff::Timestamp;
use mongodb::bson::DateTime;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

/// The date of a time, cut to the millisecond.
pub(crate) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

fn time(date: DateTime) -> Timestamp {
    // A date that nobody of ours wrote; there is no better answer.
    Timestamp::from_millisecond(date.timestamp_millis()).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    date(*at).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    DateTime::deserialize(deserializer).map(time)
}

/// The same for a time that may be absent.
pub(crate) mod option {
    use super::{DateTime, Deserializer, Serializer, Timestamp, date, time};
    use serde::{Deserialize as _, Serialize as _};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(date).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<DateTime>::deserialize(deserializer)?.map(time))
    }
}
