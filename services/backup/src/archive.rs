//! Files of a backup: documents in BSON, one after the other, compressed. Written and read in constant memory.

use std::io::Write as _;

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use mongodb::bson::{RawDocument, RawDocumentBuf};
use runtime::objects::{ByteStream, ObjectError, ObjectWriter};
use sha2::{Digest as _, Sha256};

use crate::bucket::Bucket;
use crate::error::Error;
use crate::manifest::File;

/// Ten thousand parts of so many bytes are 160 GB, compressed, of one collection.
const PART_BYTES: usize = 16 << 20;
/// How much is compressed before it is handed on.
const PIECE_BYTES: usize = 256 << 10;
/// How much is decompressed at once; at most a thousand times as much comes of it.
const SLICE_BYTES: usize = 16 << 10;
/// The smallest document, and the largest that a server has, with what it may add to it (`BSONObjMaxInternalSize`).
const DOCUMENT_BYTES: std::ops::RangeInclusive<usize> = 5..=(16 << 20) + (16 << 10);

/// A file that is being written.
pub struct FileWriter {
    object: ObjectWriter,
    gzip: GzEncoder<Vec<u8>>,
    sha256: Sha256,
    file: File,
}

impl FileWriter {
    /// Begins the file `path` of the backup that `folder` is the folder of.
    #[must_use]
    pub fn begin(bucket: &Bucket, folder: &str, path: String) -> Self {
        Self {
            object: bucket.objects().writer(&format!("{folder}/{path}"), "application/gzip").in_parts_of(PART_BYTES),
            // Most of the bytes are encrypted, and nothing makes them fewer.
            gzip: GzEncoder::new(Vec::new(), Compression::fast()),
            sha256: Sha256::new(),
            file: File { path, documents: 0, bytes: 0, sha256: String::new() },
        }
    }

    /// Adds a document.
    pub async fn add(&mut self, document: &RawDocument) -> Result<(), ObjectError> {
        compress(&mut self.gzip, document.as_bytes())?;
        self.file.documents += 1;
        if self.gzip.get_ref().len() >= PIECE_BYTES {
            let piece = std::mem::take(self.gzip.get_mut());
            self.send(piece).await?;
        }
        Ok(())
    }

    /// Completes the file: it exists when this returns.
    pub async fn finish(&mut self) -> Result<File, ObjectError> {
        self.gzip.try_finish().map_err(|error| not_compressed(&error))?;
        let last = std::mem::take(self.gzip.get_mut());
        self.send(last).await?;
        self.object.finish().await?;
        let sha256 = hex::encode(std::mem::take(&mut self.sha256).finalize());
        Ok(File { sha256, ..self.file.clone() })
    }

    /// Takes back whatever has been written.
    pub async fn discard(self) -> Result<(), ObjectError> {
        self.object.discard().await
    }

    async fn send(&mut self, piece: Vec<u8>) -> Result<(), ObjectError> {
        self.sha256.update(&piece);
        self.file.bytes += piece.len() as u64;
        self.object.write(Bytes::from(piece)).await
    }
}

fn compress(gzip: &mut GzEncoder<Vec<u8>>, bytes: &[u8]) -> Result<(), ObjectError> {
    gzip.write_all(bytes).map_err(|error| not_compressed(&error))
}

/// Writing into memory does not fail.
fn not_compressed(error: &std::io::Error) -> ObjectError {
    ObjectError::Unavailable { action: "compress", code: None, cause: error.to_string() }
}

/// A file that is being read. What comes of it can be relied on only once its end was reached: its digest is known then.
pub struct FileReader {
    body: ByteStream,
    unpacking: GzDecoder<Vec<u8>>,
    packed: Bytes,
    documents: BytesMut,
    sha256: Sha256,
    read: u64,
    count: u64,
    is_over: bool,
    file: File,
}

impl FileReader {
    /// Begins to read a file of the backup that `folder` is the folder of.
    pub async fn open(bucket: &Bucket, folder: &str, file: &File) -> Result<Self, Error> {
        let key = format!("{folder}/{}", file.path);
        let body = bucket.objects().read(&key, None).await.map_err(|error| match error {
            ObjectError::Missing(_) => damaged(file, "it is gone"),
            error @ ObjectError::Unavailable { .. } => error.into(),
        })?;
        Ok(Self {
            body,
            unpacking: GzDecoder::new(Vec::new()),
            packed: Bytes::new(),
            documents: BytesMut::new(),
            sha256: Sha256::new(),
            read: 0,
            count: 0,
            is_over: false,
            file: file.clone(),
        })
    }

    /// The next document; none at the end of a file that is as it was written.
    pub async fn next(&mut self) -> Result<Option<RawDocumentBuf>, Error> {
        loop {
            if let Some(document) = self.document()? {
                self.count += 1;
                return Ok(Some(document));
            }
            if self.is_over {
                return self.end().map(|()| None);
            }
            self.unpack().await?;
        }
    }

    /// Reads to the end.
    pub async fn check(mut self) -> Result<(), Error> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// A document, if all of it has been unpacked.
    fn document(&mut self) -> Result<Option<RawDocumentBuf>, Error> {
        let Some(length) = self.documents.first_chunk().map(|length| i32::from_le_bytes(*length)) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or_default();
        if !DOCUMENT_BYTES.contains(&length) {
            return Err(damaged(&self.file, format!("document {} has {length} bytes", self.count + 1)));
        }
        if self.documents.len() < length {
            return Ok(None);
        }
        let bytes = self.documents.split_to(length).to_vec();
        let document = RawDocumentBuf::from_bytes(bytes);
        document.map(Some).map_err(|error| damaged(&self.file, format!("document {}: {error}", self.count + 1)))
    }

    async fn unpack(&mut self) -> Result<(), Error> {
        if self.packed.is_empty() {
            let next = self.body.try_next().await.map_err(|error| ObjectError::Unavailable {
                action: "read object",
                code: None,
                cause: error.to_string(),
            })?;
            let Some(bytes) = next else {
                self.is_over = true;
                self.unpacking.try_finish().map_err(|error| damaged(&self.file, format!("it breaks off: {error}")))?;
                self.documents.extend_from_slice(self.unpacking.get_ref());
                self.unpacking.get_mut().clear();
                return Ok(());
            };
            self.read += bytes.len() as u64;
            self.sha256.update(&bytes);
            self.packed = bytes;
        }
        let slice = self.packed.split_to(self.packed.len().min(SLICE_BYTES));
        self.unpacking.write_all(&slice).map_err(|error| damaged(&self.file, error.to_string()))?;
        self.documents.extend_from_slice(self.unpacking.get_ref());
        self.unpacking.get_mut().clear();
        Ok(())
    }

    /// What was read is what was written.
    fn end(&mut self) -> Result<(), Error> {
        let file = &self.file;
        if self.documents.has_remaining() {
            return Err(damaged(file, "its last document breaks off"));
        }
        if self.read != file.bytes {
            return Err(damaged(file, format!("it has {} bytes, and had {}", self.read, file.bytes)));
        }
        if hex::encode(std::mem::take(&mut self.sha256).finalize()) != file.sha256 {
            return Err(damaged(file, "its SHA-256 is another one"));
        }
        if self.count != file.documents {
            return Err(damaged(file, format!("it has {} documents, and had {}", self.count, file.documents)));
        }
        Ok(())
    }
}

fn damaged(file: &File, fault: impl Into<String>) -> Error {
    Error::Damaged { file: file.path.clone(), fault: fault.into() }
}
