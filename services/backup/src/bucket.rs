//! The bucket that backups are kept in.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use runtime::config::ObjectStorage;
use runtime::connect;
use runtime::objects::{ObjectError, Objects};

use crate::error::Error;
use crate::manifest::{DIGEST, MANIFEST, Manifest};
use crate::name::Name;
use crate::settings::LATEST;

/// The backups of a platform.
#[derive(Clone, Debug)]
pub struct Bucket {
    objects: Objects,
    prefix: String,
}

/// What there is, by name of backup.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Those that are whole.
    pub whole: BTreeSet<Name>,
    /// Those that have no manifest: begun and not ended, or removed in part.
    pub parts: BTreeSet<Name>,
}

impl Bucket {
    /// Backups whose keys begin with `prefix`.
    pub fn new(settings: &ObjectStorage, prefix: &str) -> Result<Self, connect::ConnectError> {
        let (client, bucket) = connect::object_storage(settings)?;
        Ok(Self { objects: Objects::new(&client, bucket), prefix: prefix.to_owned() })
    }

    /// Its objects.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// What all keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the keys of a backup begin with.
    #[must_use]
    pub fn folder(&self, name: &Name) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Looks through the bucket. What is not of a backup is left alone.
    pub async fn inventory(&self) -> Result<Inventory, ObjectError> {
        let prefix = format!("{}/", self.prefix);
        let mut has_manifest: BTreeMap<Name, bool> = BTreeMap::new();
        for object in self.objects.list(&prefix).await? {
            let Some((name, path)) = object.key.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            if let Ok(name) = name.parse() {
                *has_manifest.entry(name).or_default() |= path == MANIFEST;
            }
        }
        let mut inventory = Inventory::default();
        for (name, is_whole) in has_manifest {
            let names = if is_whole { &mut inventory.whole } else { &mut inventory.parts };
            names.insert(name);
        }
        Ok(inventory)
    }

    /// The backup that is called so, or the newest one.
    pub async fn find(&self, wanted: &str) -> Result<(Name, Manifest), Error> {
        let whole = self.inventory().await?.whole;
        let found = match wanted {
            LATEST => whole.last(),
            wanted => wanted.parse::<Name>().ok().and_then(|name| whole.get(&name)),
        };
        let Some(name) = found.cloned() else {
            return Err(Error::NoSuchBackup {
                wanted: wanted.to_owned(),
                prefix: self.prefix.clone(),
                there: whole.iter().map(ToString::to_string).collect(),
            });
        };
        let (text, digest) = (self.whole(&name, MANIFEST).await?, self.whole(&name, DIGEST).await?);
        let manifest = Manifest::read(&text, &digest)?;
        Ok((name, manifest))
    }

    /// Makes a whole backup of what has been written: the digest of the manifest, and then the manifest.
    pub async fn commit(&self, name: &Name, manifest: &Manifest) -> Result<(), Error> {
        let (text, digest) = manifest.texts()?;
        self.put(name, DIGEST, "text/plain", digest).await?;
        self.put(name, MANIFEST, "application/json", text).await?;
        Ok(())
    }

    /// Removes a backup, its manifest first: what is removed in part is none.
    pub async fn remove(&self, name: &Name) -> Result<(), ObjectError> {
        let folder = format!("{}/", self.folder(name));
        self.objects.delete(&format!("{folder}{MANIFEST}")).await?;
        for object in self.objects.list(&folder).await? {
            self.objects.delete(&object.key).await?;
        }
        Ok(())
    }

    async fn put(&self, name: &Name, path: &str, content_type: &str, text: String) -> Result<(), ObjectError> {
        let mut writer = self.objects.writer(&format!("{}/{path}", self.folder(name)), content_type);
        writer.write(Bytes::from(text)).await?;
        writer.finish().await
    }

    async fn whole(&self, name: &Name, path: &str) -> Result<Vec<u8>, Error> {
        let body = self.objects.read(&format!("{}/{path}", self.folder(name)), None).await?;
        let broken = |cause: String| ObjectError::Unavailable { action: "read object", code: None, cause };
        Ok(body.collect().await.map_err(|error| broken(error.to_string()))?.to_vec())
    }
}
