//! What belongs to a backup.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// The object of a backup that makes it one.
pub const MANIFEST: &str = "manifest.json";
/// The digest of that, as `sha256sum` writes it.
pub const DIGEST: &str = "manifest.json.sha256";
/// The form of a backup that this release writes, and the latest that it reads.
const FORM: u32 = 1;

/// A backup, described.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of the backup.
    pub form: u32,
    /// Its name.
    pub name: String,
    /// Whose it is, namespace/name.
    pub platform: String,
    /// The release that made it. Its databases have the form of that release or of an earlier one.
    pub release: String,
    /// The version of the server.
    pub server: String,
    /// The moment that it shows.
    pub at: Timestamp,
    /// The same as the cluster's own time, seconds and the number of the change within the second.
    pub cluster_time: (u32, u32),
    /// When it was whole.
    pub finished_at: Timestamp,
    /// Ids of the keys without which parts of it cannot be read, by ring: `message` for what people wrote, `account` for second steps.
    pub keys: BTreeMap<String, Vec<String>>,
    /// The file with the options and indexes of each collection.
    pub collections: File,
    /// The documents of each collection.
    pub files: Vec<File>,
}

/// What every form says of itself.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// An object of a backup.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its key, without what that of all objects of the backup begins with.
    pub path: String,
    /// Documents in it.
    pub documents: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// The form that this release writes.
    #[must_use]
    pub const fn form() -> u32 {
        FORM
    }

    /// The text of the manifest, and the text of its digest.
    pub fn texts(&self) -> Result<(String, String), serde_json::Error> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        let digest = format!("{}  {MANIFEST}\n", digest(text.as_bytes()));
        Ok((text, digest))
    }

    /// Reads a manifest whose digest is this.
    pub fn read(text: &[u8], digest_text: &[u8]) -> Result<Self, Error> {
        let damaged = |fault: String| Error::Damaged { file: MANIFEST.to_owned(), fault };
        let wanted = std::str::from_utf8(digest_text).ok().and_then(|text| text.split_whitespace().next());
        if wanted != Some(digest(text).as_str()) {
            return Err(damaged(format!("its SHA-256 is not the one in {DIGEST}")));
        }
        // First the form alone: all else may be another in a later one.
        let Form { form } = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if form > FORM {
            return Err(Error::LaterForm { form });
        }
        serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))
    }

    /// Every file of the backup.
    pub fn all_files(&self) -> impl Iterator<Item = &File> {
        std::iter::once(&self.collections).chain(&self.files)
    }

    /// Documents of all collections.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.files.iter().map(|file| file.documents).sum()
    }

    /// Its size, without the manifest.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.all_files().map(|file| file.bytes).sum()
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str| File { path: path.to_owned(), documents: 2, bytes: 3, sha256: "ab".to_owned() };
        Manifest {
            form: FORM,
            name: "20261127T030000Z-5f0c2a91".to_owned(),
            platform: "team/acme".to_owned(),
            release: "0.1.0".to_owned(),
            server: "6.0.5".to_owned(),
            at: "2026-11-27T03:00:00Z".parse().unwrap(),
            cluster_time: (1, 2),
            finished_at: "2026-11-27T03:01:00Z".parse().unwrap(),
            keys: [("message".to_owned(), vec!["mk-1".to_owned()])].into(),
            collections: file("collections.bson.gz"),
            files: vec![file("auth/users.bson.gz"), file("chat/messages.bson.gz")],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let (text, digest) = manifest().texts().unwrap();
        assert_eq!(Manifest::read(text.as_bytes(), digest.as_bytes()).unwrap(), manifest());
        assert_eq!((manifest().documents(), manifest().bytes()), (4, 9));
    }

    #[test]
    fn a_manifest_that_was_changed_is_refused() {
        let (text, digest) = manifest().texts().unwrap();
        for changed in [text.replace("mk-1", "mk-2"), text[..text.len() / 2].to_owned(), String::new()] {
            let error = Manifest::read(changed.as_bytes(), digest.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("SHA-256"), "{error}");
        }
        assert!(Manifest::read(text.as_bytes(), b"").is_err());
    }

    #[test]
    fn one_of_a_later_form_is_refused_whatever_else_it_says() {
        let text = "{\"form\": 2}";
        let error = Manifest::read(text.as_bytes(), digest(text.as_bytes()).as_bytes()).unwrap_err();
        assert!(matches!(error, Error::LaterForm { form: 2 }), "{error}");
    }
}
