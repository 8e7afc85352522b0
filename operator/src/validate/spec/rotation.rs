//! When keys and credentials are to rotate.

use jiff::SignedDuration;

use super::Checker;
use crate::api::rotation::{CREDENTIALS_EVERY, EVERY_MOST_HOURS, MESSAGE_KEYS_EVERY, SIGNING_KEYS_EVERY};
use crate::api::{self, ChatPlatform};
use crate::secrets::Names;
use crate::secrets::rotation::{Kind, Plan, Plans, State};
use crate::validate::notation;

impl Checker<'_> {
    pub(super) fn rotation(&mut self, document: &ChatPlatform) -> Plans {
        let api::Rotation { signing_keys, message_keys, credentials } =
            document.spec.rotation.clone().unwrap_or_default();
        let (signing, message) = (signing_keys.unwrap_or_default(), message_keys.unwrap_or_default());
        let logins = credentials.unwrap_or_default();
        let every = signing.every.as_deref().unwrap_or(SIGNING_KEYS_EVERY);
        let signing_keys = self.plan(document, Kind::SigningKeys, every, signing.revision, signing.revoke);
        let every = message.every.as_deref().unwrap_or(MESSAGE_KEYS_EVERY);
        let message_keys = self.plan(document, Kind::MessageKeys, every, message.revision, false);
        let every = logins.every.as_deref().unwrap_or(CREDENTIALS_EVERY);
        let credentials = self.plan(document, Kind::Credentials, every, logins.revision, false);
        Plans { signing_keys, message_keys, credentials }
    }

    fn plan(&mut self, document: &ChatPlatform, kind: Kind, every: &str, revision: Option<i32>, revoke: bool) -> Plan {
        let field = format!("spec.rotation.{}", kind.field());
        let hours = self.hours(&format!("{field}.every"), every);
        let revision = revision.unwrap_or(0);
        if revision < 0 {
            let cure = "write a number from 0 on, one higher for each rotation";
            self.fault(format!("{field}.revision"), format!("{revision} is none: {cure}"));
        } else if let Some(before) = self.revision_before(document, kind).filter(|before| *before > revision) {
            let cure = "put the old number back, or write a higher one to rotate";
            let message = format!("{revision} cannot follow {before}, since it cannot be lowered: {cure}");
            self.fault(format!("{field}.revision"), message);
        }
        Plan { every: SignedDuration::from_hours(hours.unwrap_or(EVERY_MOST_HOURS)), revision, revoke }
    }

    /// A number of hours or days, in hours.
    pub(super) fn hours(&mut self, field: &str, text: &str) -> Option<i64> {
        let hours = notation::hours(text).filter(|hours| (1..=EVERY_MOST_HOURS).contains(hours));
        if hours.is_none() {
            let most = EVERY_MOST_HOURS / 24;
            let cure = format!("write a number of hours or days from 1h to {most}d, such as 720h or 90d");
            self.fault(field, format!("{text:?} is no such time: {cure}"));
        }
        hours
    }

    /// The revision that this very platform has rotated for; one before it, which left its keys, may have counted further.
    fn revision_before(&self, document: &ChatPlatform, kind: Kind) -> Option<i32> {
        let names = Names { platform: self.platform.clone(), ..Names::default() };
        // What cannot be read is told of where it is used.
        let state = State::recorded(&self.observed.secrets, &names, kind).ok()??;
        (document.metadata.uid.as_ref() == Some(&state.platform)).then_some(state.revision)
    }
}
