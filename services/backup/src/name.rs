//! Names of backups: the moment at which one was begun, and what tells it from another of the same second.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rand::Rng;

/// How the moment is written; names are in the order of time.
const FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// The length of that.
const MOMENT: usize = 16;
/// What is drawn by lot, in hexadecimal digits.
const LOT: usize = 8;

/// The name of a backup, such as `20261127T030000Z-5f0c2a91`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

/// It is no name of a backup.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("no name of a backup, such as 20261127T030000Z-5f0c2a91")]
pub struct NoName;

impl Name {
    /// The name of a backup that is begun `now`.
    pub fn new(now: Timestamp, rng: &mut (impl Rng + ?Sized)) -> Self {
        let mut lot = [0; LOT / 2];
        rng.fill_bytes(&mut lot);
        Self(format!("{}-{}", now.strftime(FORMAT), hex::encode(lot)))
    }

    /// When it was begun.
    #[must_use]
    pub fn begun(&self) -> Timestamp {
        // What is no moment is no name.
        moment(&self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let lot = text.get(MOMENT..).and_then(|rest| rest.strip_prefix('-')).ok_or(NoName)?;
        let is_name = lot.len() == LOT && lot.chars().all(is_hex) && moment(text).is_some();
        is_name.then(|| Self(text.to_owned())).ok_or(NoName)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment = text.get(..MOMENT)?.strip_suffix('Z')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", moment).ok()?;
    let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    // Written again, it has to be the same.
    (at.strftime(FORMAT).to_string() == text.get(..MOMENT)?).then_some(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_in_the_order_of_time_and_read_as_they_are_written() {
        let at = |text: &str| Name::new(text.parse().unwrap(), &mut rand::rng());
        let (first, second) = (at("2026-11-27T03:00:00Z"), at("2027-01-02T03:00:00Z"));
        assert!(first < second);
        assert_eq!(first.to_string().parse(), Ok(first.clone()));
        assert_eq!(first.begun(), "2026-11-27T03:00:00Z".parse().unwrap());
        assert_ne!(first, at("2026-11-27T03:00:00Z"), "two of a second are not one");
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "",
            "latest",
            "20261127T030000Z",
            "20261127T030000Z-",
            "20261327T030000Z-5f0c2a91",
            "20261127T030000Z-5F0C2A91",
            "20261127T030000Z-5f0c2a91/x",
            "é0261127T03000Z-5f0c2a91",
        ] {
            assert_eq!(text.parse::<Name>(), Err(NoName), "{text:?}");
        }
    }
}
