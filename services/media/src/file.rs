//! A stored file.

use contract::{
    id::{MediaId, UserId},
    media::Media,
};
use jiff::Timestamp;
use runtime::idempotency::IdempotencyKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{content_type::ContentType, entity_tag::EntityTag, object_key::ObjectKey};

/// A file whose object is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Identity, as clients know it.
    pub id: MediaId,
    /// Who uploaded it, and who alone may have it back unless it is their picture.
    pub owner: UserId,
    /// Where its bytes are.
    pub key: ObjectKey,
    /// When its upload began, to the millisecond.
    pub created_at: Timestamp,
    /// What its content is.
    pub content: Content,
}

/// By what an upload is recognised that is sent again: SHA-256 of the client's key, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadKey(String);

impl UploadKey {
    /// The digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&IdempotencyKey> for UploadKey {
    fn from(key: &IdempotencyKey) -> Self {
        Self(hex::encode(Sha256::digest(key.as_str())))
    }
}

/// What is known of a file once all of it has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The cleaned name it was uploaded under.
    pub filename: String,
    /// The type its first bytes told.
    pub content_type: ContentType,
    /// In bytes.
    pub size: u64,
    /// Of all its bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl File {
    /// Whether it is an image.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.content.content_type.as_str().starts_with("image/")
    }

    /// The tag by which caches know its content.
    #[must_use]
    pub fn entity_tag(&self) -> EntityTag {
        EntityTag::of_sha256(&self.content.sha256)
    }
}

impl From<File> for Media {
    fn from(file: File) -> Self {
        Self {
            id: file.id,
            owner_id: file.owner,
            filename: file.content.filename,
            content_type: file.content.content_type.to_string(),
            size: file.content.size,
            sha256: file.content.sha256,
            created_at: file.created_at,
        }
    }
}
