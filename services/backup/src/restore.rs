//! Writing a backup into the databases of a new platform.
//!
//! All of it is read through before anything is written. The databases have to be empty but for what services write at their start, and
//! nobody may be at work on them. A restore that is cut off leaves a mark in each database, by which the next one knows that what is there
//! is its own and begins anew.

mod target;

use mongodb::bson::{Document, RawDocumentBuf};
use tokio_util::sync::CancellationToken;

use crate::archive::FileReader;
use crate::bucket::Bucket;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::name::Name;
use crate::snapshot::Collection;
use crate::take::RELEASE;

pub use target::Target;

/// What is written at once: so many documents, or so many bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// Reads a backup through: every file is there and as it was written.
pub async fn check(bucket: &Bucket, name: &Name, manifest: &Manifest, stop: &CancellationToken) -> Result<(), Error> {
    for file in manifest.all_files() {
        let reading = FileReader::open(bucket, &bucket.folder(name), file).await?;
        stop.run_until_cancelled(reading.check()).await.ok_or(Error::Stopped)??;
        tracing::info!(file = file.path, documents = file.documents, "is as it was written");
    }
    Ok(())
}

/// Writes a backup into `target`. Nothing is changed there unless the backup is whole and undamaged, and the databases are empty.
pub async fn restore(
    bucket: &Bucket,
    name: &Name,
    manifest: &Manifest,
    target: &Target,
    stop: &CancellationToken,
) -> Result<(), Error> {
    if is_later(&manifest.release, RELEASE) {
        return Err(Error::LaterRelease { theirs: manifest.release.clone(), ours: RELEASE });
    }
    target.refuse_data().await?;
    check(bucket, name, manifest, stop).await?;
    let collections = descriptions(bucket, name, manifest).await?;

    target.begin(name).await?;
    for collection in &collections {
        if stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        let count = write(bucket, name, manifest, target, collection, stop).await?;
        // Before there are indexes, by one of which the server may remove what has expired.
        target.compare(collection, count).await?;
        tracing::info!(database = collection.database, collection = collection.name, documents = count, "written");
    }
    for collection in &collections {
        target.index(collection).await?;
    }
    target.end().await
}

async fn descriptions(bucket: &Bucket, name: &Name, manifest: &Manifest) -> Result<Vec<Collection>, Error> {
    let file = &manifest.collections;
    let damaged = |fault: String| Error::Damaged { file: file.path.clone(), fault };
    let mut reading = FileReader::open(bucket, &bucket.folder(name), file).await?;
    let mut collections = Vec::new();
    while let Some(document) = reading.next().await? {
        let document = Document::try_from(&*document).map_err(|error| damaged(error.to_string()))?;
        let collection = Collection::from_document(&document);
        collections.push(collection.ok_or_else(|| damaged("it does not describe collections".to_owned()))?);
    }
    Ok(collections)
}

async fn write(
    bucket: &Bucket,
    name: &Name,
    manifest: &Manifest,
    target: &Target,
    collection: &Collection,
    stop: &CancellationToken,
) -> Result<u64, Error> {
    target.create(collection).await?;
    let Some(file) = manifest.files.iter().find(|file| file.path == collection.path()) else { return Ok(0) };
    let mut reading = FileReader::open(bucket, &bucket.folder(name), file).await?;
    let (mut batch, mut bytes): (Vec<RawDocumentBuf>, usize) = (Vec::new(), 0);
    let mut count = 0;
    while let Some(document) = reading.next().await? {
        if stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        bytes += document.as_bytes().len();
        batch.push(document);
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            count += target.insert(collection, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    count += target.insert(collection, batch).await?;
    Ok(count)
}

/// Whether a release, three numbers, is later than another.
fn is_later(release: &str, than: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u64>>();
    numbers(release) > numbers(than)
}

#[cfg(test)]
mod tests {
    use super::is_later;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert!(is_later("0.10.0", "0.9.0"));
        assert!(is_later("1.0.0", "0.9.9"));
        assert!(!is_later("0.1.0", "0.1.0"));
        assert!(!is_later("0.0.9", "0.1.0"));
    }
}
