//! Taking a file in: from the body of a request to a ready record, without ever holding more than two parts of it.

use std::{sync::Arc, time::Duration};

use axum::extract::multipart::{Field, MultipartError};
use bytes::{Bytes, BytesMut};
use contract::id::{MediaId, UserId};
use runtime::{
    clock::Clock,
    idempotency::{KeyInUse, KeyReused},
    objects::{ObjectError, ObjectWriter, Objects},
};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    content_type::{ContentType, Policy, SNIFFED_BYTES},
    file::{Content, File, UploadKey},
    filename,
    object_key::ObjectKey,
    settings::Upload,
    store::{
        Files,
        files::{Begun, FilesError},
    },
};

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The form has no field `file` that is a file.
    #[error("the form has no file")]
    NoFile,
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is longer than the settings allow.
    #[error("the file is longer than {limit} bytes")]
    TooLarge {
        /// The most that is allowed, in bytes.
        limit: u64,
    },
    /// Files of this type are not taken.
    #[error("files of type {0} are not taken")]
    Type(ContentType),
    /// The body broke off or is not a form.
    #[error("the body cannot be read: {0}")]
    Body(#[from] MultipartError),
    /// Nothing arrived for too long.
    #[error("the client stopped sending")]
    Stalled,
    /// All slots stayed taken for too long.
    #[error("too many uploads at once")]
    Busy,
    /// The same upload is under way.
    #[error(transparent)]
    KeyInUse(#[from] KeyInUse),
    /// Another file was uploaded under the key.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The records failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Takes files in.
#[derive(Clone, Debug)]
pub struct Uploads {
    files: Files,
    objects: Objects,
    policy: Arc<Policy>,
    limit: u64,
    patience: Duration,
    slots: Arc<Semaphore>,
    clock: Clock,
}

/// An upload that failed after its record was made: what is left of it has to go.
#[derive(Debug)]
pub struct Remains {
    id: MediaId,
    writer: ObjectWriter,
}

impl Uploads {
    /// Takes files in under `settings`.
    #[must_use]
    pub fn new(files: Files, objects: Objects, settings: &Upload, clock: Clock) -> Self {
        Self {
            files,
            objects,
            policy: Arc::new(settings.policy()),
            limit: settings.max_bytes,
            patience: settings.patience(),
            slots: Arc::new(Semaphore::new(settings.concurrent)),
            clock,
        }
    }

    /// The most bytes a file may have.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Stores the file in `field` for `owner`; under the key of an upload that came to its end it is the file of then. On failure nothing can be found under any id; `Remains`, if any, are to be
    /// [removed](Self::remove) once the client has its answer.
    pub async fn receive(
        &self,
        owner: UserId,
        key: Option<UploadKey>,
        field: Field<'_>,
    ) -> Result<File, (UploadError, Option<Remains>)> {
        let upload_key = key;
        let _slot = timeout(self.patience, self.slots.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or((UploadError::Busy, None))?;
        let filename = filename::clean(field.file_name());
        let mut source = Source { field, patience: self.patience, limit: self.limit, size: 0, sha256: Sha256::new() };
        let head = source.head().await.map_err(|error| (error, None))?;
        let content_type = self.judge(&head).map_err(|error| (error, None))?;

        let now = self.clock.now();
        let (id, key) = {
            let mut rng = rand::rng();
            (MediaId::new(now, &mut rng), ObjectKey::new(&mut rng))
        };
        match self.files.begin(id, owner, &key, upload_key, now).await.map_err(|error| (error.into(), None))? {
            Begun::New => {}
            Begun::UnderWay => return Err((KeyInUse.into(), None)),
            Begun::Done(before) => {
                let again = source.rest(filename, content_type).await.map_err(|error| (error, None))?;
                return if again == before.content { Ok(*before) } else { Err((KeyReused.into(), None)) };
            }
        }
        let mut writer = self.objects.writer(key.as_str(), &content_type.header());
        let stored = async {
            store(&mut writer, head, &mut source).await?;
            let content = source.content(filename, content_type);
            self.files.complete(id, &content).await?;
            Ok(content)
        };
        match stored.await {
            Ok(content) => Ok(File { id, owner, key, created_at: now, content }),
            Err(error) => Err((error, Some(Remains { id, writer }))),
        }
    }

    /// Takes back what a failed upload left. Where that fails too, the pending record stays, and the object can be found by it.
    pub async fn remove(&self, remains: Remains) -> Result<(), UploadError> {
        remains.writer.discard().await?;
        self.files.forget(remains.id).await?;
        Ok(())
    }

    fn judge(&self, head: &[u8]) -> Result<ContentType, UploadError> {
        if head.is_empty() {
            return Err(UploadError::Empty);
        }
        let content_type = ContentType::sniff(head);
        if self.policy.takes(&content_type) { Ok(content_type) } else { Err(UploadError::Type(content_type)) }
    }
}

async fn store(writer: &mut ObjectWriter, head: Bytes, source: &mut Source<'_>) -> Result<(), UploadError> {
    writer.write(head).await?;
    while let Some(bytes) = source.next().await? {
        writer.write(bytes).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// The bytes of the file as they arrive, counted and digested.
struct Source<'a> {
    field: Field<'a>,
    patience: Duration,
    limit: u64,
    size: u64,
    sha256: Sha256,
}

impl Source<'_> {
    /// The first bytes: enough to tell the type, or all there are.
    async fn head(&mut self) -> Result<Bytes, UploadError> {
        let mut head = BytesMut::new();
        while head.len() < SNIFFED_BYTES {
            let Some(bytes) = self.next().await? else { break };
            head.extend_from_slice(&bytes);
        }
        Ok(head.freeze())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        let chunk = timeout(self.patience, self.field.chunk()).await.map_err(|_| UploadError::Stalled)?;
        let chunk = chunk.map_err(|error| self.broken(error))?;
        if let Some(bytes) = &chunk {
            self.size += bytes.len() as u64;
            if self.size > self.limit {
                return Err(UploadError::TooLarge { limit: self.limit });
            }
            self.sha256.update(bytes);
        }
        Ok(chunk)
    }

    /// What is known once all of it has been seen and nothing kept.
    async fn rest(mut self, filename: String, content_type: ContentType) -> Result<Content, UploadError> {
        while self.next().await?.is_some() {}
        Ok(self.content(filename, content_type))
    }

    fn broken(&self, error: MultipartError) -> UploadError {
        if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            UploadError::TooLarge { limit: self.limit }
        } else {
            error.into()
        }
    }

    fn content(self, filename: String, content_type: ContentType) -> Content {
        Content { filename, content_type, size: self.size, sha256: hex::encode(self.sha256.finalize()) }
    }
}
