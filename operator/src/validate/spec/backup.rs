//! Backups: when, how many, and where to.

use kube::ResourceExt as _;

use super::Checker;
use crate::api::backup::{RETENTION, RETENTION_MOST};
use crate::api::{BackupStorage, ChatPlatform, SCHEDULE_CURE};
use crate::validate::notation;
use crate::validate::platform::{Backup, Bucket};

impl Checker<'_> {
    pub(super) fn backup(&mut self, document: &ChatPlatform) -> Option<Backup> {
        const FIELD: &str = "spec.backup";
        let backup = document.spec.backup.as_ref()?;
        if document.spec.mongodb.as_ref().is_some_and(|mongodb| mongodb.external.is_some()) {
            let cure = "leave it out, as who runs the external one backs it up";
            self.fault(FIELD, format!("needs a MongoDB of the platform's own: {cure}"));
        }
        if !notation::is_schedule(&backup.schedule) {
            let message = format!("{:?} is no schedule: {SCHEDULE_CURE}", backup.schedule);
            self.fault(format!("{FIELD}.schedule"), message);
        }
        let retention = backup.retention.unwrap_or(RETENTION);
        if !(1..=RETENTION_MOST).contains(&retention) {
            let cure = format!("write how many backups are kept, from 1 to {RETENTION_MOST}");
            self.fault(format!("{FIELD}.retention"), format!("{retention} is not possible: {cure}"));
        }
        let storage = &backup.object_storage;
        let usual = format!("{}/{}", document.namespace().unwrap_or_default(), self.platform);
        if let Some(prefix) = storage.prefix.as_ref().filter(|prefix| !notation::is_prefix(prefix)) {
            let cure = "write letters, digits, dots, dashes and underscores, with single slashes between them, such as backups/acme, at most 200";
            self.fault(format!("{FIELD}.objectStorage.prefix"), format!("{prefix:?} is no such prefix: {cure}"));
        }
        let secret = &storage.credentials_secret_ref.name;
        self.secret(format!("{FIELD}.objectStorage.credentialsSecretRef.name"), secret);
        let (bucket, port) = self.backup_bucket(storage);
        Some(Backup {
            schedule: backup.schedule.clone(),
            retention,
            suspend: backup.suspend,
            bucket,
            port,
            prefix: storage.prefix.clone().unwrap_or(usual),
            credentials: secret.clone(),
        })
    }

    fn backup_bucket(&mut self, storage: &BackupStorage) -> (Bucket, u16) {
        const FIELD: &str = "spec.backup.objectStorage";
        let bucket = self.bucket(FIELD, (&storage.endpoint, None), storage.region.as_deref(), &storage.bucket);
        let port = notation::url_port(&storage.endpoint);
        if port.is_none() && notation::is_base_url(&storage.endpoint) {
            let cure = "write at most 270 characters, with a port from 1 to 65535 if any";
            self.fault(
                format!("{FIELD}.endpoint"),
                format!("{:?} is not the URL of a server: {cure}", storage.endpoint),
            );
        }
        let port = port.unwrap_or(443);
        (Bucket { path_style: storage.path_style.unwrap_or_default(), ..bucket }, port)
    }
}
