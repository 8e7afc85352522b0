//! Backups of the databases.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::email::SecretRef;
use super::rules;

/// How many backups are kept where nothing is said of it, and at most.
pub(crate) const RETENTION: i32 = 7;
pub(crate) const RETENTION_MOST: i32 = 1000;

/// Backups of the platform's MongoDB into a bucket that is not the platform's own: all databases as they were at one moment, while people
/// chat on. Texts stay encrypted: keep the Secrets <name>-message-keys and <name>-account-keys as well. Uploaded files are not among it.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When a backup begins, in UTC: minute, hour, day of month, month and day of week as cron has them, in numbers, such as 0 3 * * *
    /// for three o'clock each night; at most 100 characters. One that is due while another is being made is left out.
    /// Change: from the next one on.
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::schedule())]
    pub schedule: String,

    /// How many backups are kept, from 1 to 1000. The oldest goes once a new one is whole.
    /// Default: 7. Change: with the next backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::retention())]
    pub retention: Option<i32>,

    /// Whether no backup begins by itself; those that there are stay, and one can still be made by hand.
    /// Default: false. Change: immediate; one that is being made goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// Where backups are kept.
    pub object_storage: BackupStorage,
}

/// A bucket for backups, of an S3 service that somebody else runs. Change: from the next backup on; those in the old place stay there.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorage {
    /// URL of the service, such as https://s3.eu-central-1.amazonaws.com, without path and bucket; at most 270 characters.
    #[schemars(length(max = 270))]
    #[x_kube(validation = rules::base_url("https://s3.example.com"))]
    pub endpoint: String,

    /// Region of the bucket, at most 64 letters, digits, dashes and underscores. Default: us-east-1.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,

    /// Name of the bucket, which must exist: 3 to 63 lower-case letters, digits, dots and dashes.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::bucket())]
    pub bucket: String,

    /// What all keys of this platform's backups begin with, at most 200 letters, digits, dots, dashes and underscores, with slashes between
    /// them. No two platforms may have the same. Default: <namespace>/<name>.
    #[schemars(length(max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$')").message("write letters, digits, dots, dashes and underscores, with single slashes between them, such as backups/acme"))]
    pub prefix: Option<String>,

    /// Whether the bucket is named in the path (https://host/bucket) and not in the host (https://bucket.host). Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,

    /// Secret in the same namespace with the keys accessKeyId and secretAccessKey, of an account that may list, get, put and delete objects.
    pub credentials_secret_ref: SecretRef,
}
