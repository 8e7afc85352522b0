//! Settings. Defaults and explanations stand in `config.default.toml`.

use std::path::PathBuf;

use runtime::config::{Fault, Log, ObjectStorage, Section, faults_of, file_fault};
use serde::Deserialize;

use crate::DATABASES;

/// The settings that hold unless the environment says otherwise.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// What it takes to make a backup.
#[derive(Clone, Debug, Deserialize)]
pub struct Taking {
    /// What is logged.
    pub log: Log,
    /// Where the data are.
    pub mongodb: Source,
    /// Where the backup goes.
    pub object_storage: ObjectStorage,
    /// Which backups there are.
    pub backup: Backups,
}

/// What it takes to restore one.
#[derive(Clone, Debug, Deserialize)]
pub struct Restoring {
    /// What is logged.
    pub log: Log,
    /// Where the backup is.
    pub object_storage: ObjectStorage,
    /// Which backups there are.
    pub backup: Backups,
    /// Which one it is, and where it goes.
    pub restore: Restore,
}

/// `[mongodb]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// File that holds the connection string.
    pub uri_file: PathBuf,
}

/// `[backup]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// What their keys begin with, without a slash at its end.
    pub prefix: String,
    /// How many are kept.
    pub retention: usize,
    /// Whose they are.
    pub platform: String,
    /// Where the outcome is written.
    pub report_file: PathBuf,
}

/// `[restore]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The name of a backup, or [`LATEST`].
    pub from: String,
    /// Whether nothing is written.
    pub check_only: bool,
    /// Folder with a connection string for each database.
    pub uri_folder: PathBuf,
}

/// The word for the newest backup.
pub const LATEST: &str = "latest";

impl Section for Taking {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[
            ("log", &self.log),
            ("mongodb", &self.mongodb),
            ("object_storage", &self.object_storage),
            ("backup", &self.backup),
        ])
    }
}

impl Section for Restoring {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[
            ("log", &self.log),
            ("object_storage", &self.object_storage),
            ("backup", &self.backup),
            ("restore", &self.restore),
        ])
    }
}

impl Section for Source {
    fn faults(&self) -> Vec<Fault> {
        Vec::from_iter(file_fault("uri_file", &self.uri_file))
    }
}

impl Section for Backups {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.prefix.is_empty() || self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            faults.push(Fault::new("prefix", "must be set, without a slash at either end"));
        }
        if self.retention == 0 {
            faults.push(Fault::new("retention", "must be 1 or more: the backup that is being made is kept"));
        }
        faults
    }
}

impl Section for Restore {
    fn faults(&self) -> Vec<Fault> {
        if self.check_only {
            return Vec::new();
        }
        // The folder's files, though the setting is the folder's.
        DATABASES.iter().filter_map(|database| file_fault("uri_folder", &self.uri_folder.join(database))).collect()
    }
}
