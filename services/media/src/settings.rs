//! Settings of the service. Defaults and explanations stand in `config.default.toml`.

use std::{collections::BTreeSet, time::Duration};

use runtime::{
    config::{Fault, Log, MongoDb, ObjectStorage, RabbitMq, Section, Server, Tokens, faults_of},
    objects::LARGEST_OBJECT,
    program,
};
use serde::Deserialize;

use crate::content_type::{ContentType, Policy, Unrecognised};

/// More uploads at once would need more memory than a pod has: each holds up to two parts.
const MOST_UPLOADS: usize = 256;

/// The settings that hold unless the environment says otherwise.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and the drain.
    pub server: Server,
    /// What is logged.
    pub log: Log,
    /// Where the records are.
    pub mongodb: MongoDb,
    /// Where the bytes are.
    pub object_storage: ObjectStorage,
    /// Where events come from.
    pub rabbitmq: RabbitMq,
    /// Whose access tokens are believed.
    pub tokens: Tokens,
    /// When what was left behind is removed.
    pub orphans: Orphans,
    /// Which files are taken.
    pub upload: Upload,
}

/// When what interrupted uploads and deletions left behind is removed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphans {
    /// How often it is looked for, in seconds.
    pub look_every_seconds: u64,
    /// How old an upload has to be that has not ended, in seconds: longer than any takes.
    pub after_seconds: u64,
}

/// Which files are taken, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The most bytes a file may have.
    pub max_bytes: u64,
    /// How many uploads may run at once; each holds up to 16 MiB of memory.
    pub concurrent: usize,
    /// How long nothing may arrive before an upload is given up, in seconds.
    pub stall_seconds: u64,
    /// Recognised media types that are taken.
    pub allowed_types: BTreeSet<ContentType>,
    /// What happens to files of no recognised type.
    pub unrecognised: Unrecognised,
}

impl Upload {
    /// Which files are taken.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { allowed: self.allowed_types.clone(), unrecognised: self.unrecognised }
    }

    /// How long nothing may arrive.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }
}

impl program::Settings for Settings {
    const NAME: &'static str = "media";
    const DEFAULTS: &'static str = DEFAULTS;

    fn log(&self) -> Log {
        self.log.clone()
    }
}

impl Section for Settings {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[
            ("server", &self.server),
            ("log", &self.log),
            ("mongodb", &self.mongodb),
            ("object_storage", &self.object_storage),
            ("rabbitmq", &self.rabbitmq),
            ("tokens", &self.tokens),
            ("orphans", &self.orphans),
            ("upload", &self.upload),
        ])
    }
}

impl Section for Orphans {
    fn faults(&self) -> Vec<Fault> {
        let none = |key| Fault::new(key, "must be at least 1");
        let keys = [("look_every_seconds", self.look_every_seconds), ("after_seconds", self.after_seconds)];
        keys.into_iter().filter(|(_, seconds)| *seconds == 0).map(|(key, _)| none(key)).collect()
    }
}

impl Section for Upload {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !(1..=LARGEST_OBJECT).contains(&self.max_bytes) {
            faults.push(Fault::new("max_bytes", format!("must be 1 to {LARGEST_OBJECT}")));
        }
        if !(1..=MOST_UPLOADS).contains(&self.concurrent) {
            faults.push(Fault::new("concurrent", format!("must be 1 to {MOST_UPLOADS}")));
        }
        if self.stall_seconds == 0 {
            faults.push(Fault::new("stall_seconds", "must be at least 1"));
        }
        if self.allowed_types.is_empty() && self.unrecognised == Unrecognised::Refuse {
            faults.push(Fault::new(
                "allowed_types",
                "must name a type: with unrecognised = refuse nothing at all is taken",
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn upload(change: impl FnOnce(&mut Upload)) -> Vec<String> {
        let defaults: toml::Table = DEFAULTS.parse().unwrap();
        let mut upload: Upload = defaults["upload"].clone().try_into().unwrap();
        change(&mut upload);
        upload.faults().into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn the_defaults_are_without_fault() {
        assert_eq!(upload(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_work_is_a_fault() {
        assert_eq!(upload(|upload| upload.max_bytes = LARGEST_OBJECT + 1), ["max_bytes"]);
        assert_eq!(upload(|upload| upload.concurrent = 0), ["concurrent"]);
        assert_eq!(upload(|upload| upload.stall_seconds = 0), ["stall_seconds"]);
        let nothing = |upload: &mut Upload| {
            upload.allowed_types.clear();
            upload.unrecognised = Unrecognised::Refuse;
        };
        assert_eq!(upload(nothing), ["allowed_types"]);
    }
}
