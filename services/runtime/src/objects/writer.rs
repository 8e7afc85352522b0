//! Writing one object in constant memory: at most a part being filled and a part on its way.

use std::mem;

use aws_sdk_s3::{
    operation::abort_multipart_upload::AbortMultipartUploadError,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{ObjectError, Objects, unavailable};

/// The size of a part of a multipart upload, in bytes (S3 takes 5 MiB to 5 GiB, and 10,000 parts).
const PART_BYTES: usize = 8 << 20;

/// What the store checks each part by. It has to be the same when the upload is created, for each part, and when it is completed.
const PART_CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;

/// The largest object that can be written in parts of the usual size, in bytes.
pub const LARGEST_OBJECT: u64 = 10_000 * PART_BYTES as u64;

/// Writes an object piece by piece. What fits one part goes in a single request, anything longer by multipart upload.
/// Whoever drops a writer without [`finish`](Self::finish) has to [`discard`](Self::discard) it, or leaves parts behind.
#[derive(Debug)]
pub struct ObjectWriter {
    target: Target,
    part_bytes: usize,
    part: Vec<u8>,
    upload: Option<Upload>,
}

#[derive(Clone, Debug)]
struct Target {
    objects: Objects,
    key: String,
    content_type: String,
}

#[derive(Debug)]
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
    in_flight: Option<JoinHandle<Result<CompletedPart, ObjectError>>>,
}

impl ObjectWriter {
    pub(super) fn new(objects: Objects, key: String, content_type: String) -> Self {
        Self { target: Target { objects, key, content_type }, part_bytes: PART_BYTES, part: Vec::new(), upload: None }
    }

    /// The same in parts of another size, so that the object may be larger: of at least 5 MiB.
    #[must_use]
    pub fn in_parts_of(self, part_bytes: usize) -> Self {
        Self { part_bytes, ..self }
    }

    /// Adds bytes to the object. Returns once they are in the part being filled, which may mean to wait for the one before it.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        while self.part.len() + bytes.len() > self.part_bytes {
            let fitting = bytes.split_to(self.part_bytes - self.part.len());
            self.fill(&fitting);
            self.send_part().await?;
        }
        self.fill(&bytes);
        Ok(())
    }

    /// Grows the part by doubling, as a vector would, but never beyond a part's size; a part after the first has its size at once.
    fn fill(&mut self, bytes: &[u8]) {
        let needed = self.part.len() + bytes.len();
        if needed > self.part.capacity() {
            let doubled = needed.max(2 * self.part.capacity()).min(self.part_bytes);
            let capacity = if self.upload.is_some() { self.part_bytes } else { doubled };
            self.part.reserve_exact(capacity - self.part.len());
        }
        self.part.extend_from_slice(bytes);
    }

    /// Completes the object: it exists when this returns.
    pub async fn finish(&mut self) -> Result<(), ObjectError> {
        if self.upload.is_none() {
            return self.target.put(Bytes::from(mem::take(&mut self.part))).await;
        }
        if !self.part.is_empty() {
            self.send_part().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.settle().await?;
            self.target.complete(upload).await?;
        }
        self.upload = None;
        Ok(())
    }

    /// Takes back whatever has been written, a completed object included.
    pub async fn discard(mut self) -> Result<(), ObjectError> {
        if let Some(mut upload) = self.upload.take() {
            if let Some(in_flight) = upload.in_flight.take() {
                in_flight.abort();
                // A part that arrives after the abort would stay; so it has to have ended.
                let _ = in_flight.await;
            }
            self.target.abort(&upload).await?;
        }
        self.target.objects.delete(&self.target.key).await
    }

    async fn send_part(&mut self) -> Result<(), ObjectError> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.target.begin().await?),
        };
        upload.settle().await?;
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let (target, id, bytes) = (self.target.clone(), upload.id.clone(), Bytes::from(mem::take(&mut self.part)));
        upload.in_flight = Some(tokio::spawn(async move { target.send(id, number, bytes).await }));
        Ok(())
    }
}

impl Upload {
    /// Waits until no part is on its way.
    async fn settle(&mut self) -> Result<(), ObjectError> {
        if let Some(in_flight) = self.in_flight.take() {
            let part = in_flight.await.map_err(|error| ObjectError::Unavailable {
                action: "upload part",
                code: None,
                cause: error.to_string(),
            })??;
            self.parts.push(part);
        }
        Ok(())
    }
}

impl Target {
    async fn put(&self, bytes: Bytes) -> Result<(), ObjectError> {
        self.objects
            .client
            .put_object()
            .bucket(&self.objects.bucket)
            .key(&self.key)
            .content_type(&self.content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| unavailable("put object", &error))?;
        Ok(())
    }

    async fn begin(&self) -> Result<Upload, ObjectError> {
        let answer = self
            .objects
            .client
            .create_multipart_upload()
            .bucket(&self.objects.bucket)
            .key(&self.key)
            .content_type(&self.content_type)
            .checksum_algorithm(PART_CHECKSUM)
            .send()
            .await
            .map_err(|error| unavailable("create multipart upload", &error))?;
        let id = answer.upload_id.ok_or_else(|| ObjectError::Unavailable {
            action: "create multipart upload",
            code: None,
            cause: "the answer has no upload id".to_owned(),
        })?;
        Ok(Upload { id, parts: Vec::new(), in_flight: None })
    }

    async fn send(&self, upload_id: String, number: i32, bytes: Bytes) -> Result<CompletedPart, ObjectError> {
        let answer = self
            .objects
            .client
            .upload_part()
            .bucket(&self.objects.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .checksum_algorithm(PART_CHECKSUM)
            .send()
            .await
            .map_err(|error| unavailable("upload part", &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .build())
    }

    async fn complete(&self, upload: &Upload) -> Result<(), ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(upload.parts.clone())).build();
        self.objects
            .client
            .complete_multipart_upload()
            .bucket(&self.objects.bucket)
            .key(&self.key)
            .upload_id(&upload.id)
            .multipart_upload(parts)
            .send()
            .await
            .map_err(|error| unavailable("complete multipart upload", &error))?;
        Ok(())
    }

    async fn abort(&self, upload: &Upload) -> Result<(), ObjectError> {
        let outcome = self
            .objects
            .client
            .abort_multipart_upload()
            .bucket(&self.objects.bucket)
            .key(&self.key)
            .upload_id(&upload.id)
            .send()
            .await;
        match outcome {
            Ok(_) => Ok(()),
            // Completed after all, though the answer was lost: the object goes next.
            Err(error) if error.as_service_error().is_some_and(AbortMultipartUploadError::is_no_such_upload) => Ok(()),
            Err(error) => Err(unavailable("abort multipart upload", &error)),
        }
    }
}
