//! Servers that somebody else runs, and a certificate that somebody else made, as the user's own Secrets tell of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Given, ObjectStorage};

/// Where a server is that somebody else runs, and how to log in.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its URI, with user and password.
    pub uri: SecretString,
    /// The authority of its certificate, PEM, where it has one of its own.
    pub authority: Option<String>,
}

/// The users' Secrets, by component. Their values stay as they are: they are written into the services' own Secrets.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Externals(BTreeMap<String, Secret>);

impl Externals {
    /// In place of a component: where backups go.
    pub const BACKUP: &'static str = "backup";

    /// Adds the Secret of a component.
    pub fn insert(&mut self, component: &str, secret: Secret) {
        // Who set which field is of no interest.
        let secret = Secret {
            data: secret.data,
            metadata: ObjectMeta { name: secret.metadata.name, ..ObjectMeta::default() },
            ..Secret::default()
        };
        self.0.insert(component.to_owned(), secret);
    }

    /// The connection of a component, if somebody else runs it; `key` is what its Secret calls the URI.
    pub(super) fn connection(&self, component: &str, key: &str) -> Option<Connection> {
        let text = |key| self.text(component, key);
        Some(Connection { uri: SecretString::from(text(key)?), authority: text(super::Names::AUTHORITY) })
    }

    /// The account of an S3 service that somebody else runs, for files.
    pub(super) fn account(&self) -> Option<ObjectStorage> {
        self.account_for("object-storage")
    }

    /// The same for backups.
    pub(super) fn backup_account(&self) -> Option<ObjectStorage> {
        self.account_for(Self::BACKUP)
    }

    fn account_for(&self, component: &str) -> Option<ObjectStorage> {
        let text = |key| self.text(component, key);
        Some(ObjectStorage {
            access_key_id: text("accessKeyId")?,
            secret_access_key: SecretString::from(text("secretAccessKey")?),
            is_own: false,
        })
    }

    /// The certificate of the edge, where the user gave one.
    pub(super) fn certificate(&self) -> Option<Given> {
        Given::of(|key| self.text("edge", key))
    }

    fn text(&self, component: &str, key: &str) -> Option<String> {
        let value = self.0.get(component)?.data.as_ref()?.get(key)?;
        Some(String::from_utf8_lossy(&value.0).trim().to_owned())
    }
}

impl std::fmt::Debug for Externals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
