//! Making a backup.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use mongodb::bson::RawDocumentBuf;
use runtime::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::DATABASES;
use crate::archive::FileWriter;
use crate::bucket::Bucket;
use crate::error::Error;
use crate::manifest::{File, Manifest};
use crate::name::Name;
use crate::snapshot::{Collection, Snapshot};

/// The release of this program.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Fields that hold the id of a key by which something is encrypted: ring, database, collection, field.
const KEY_IDS: [(&str, &str, &str, &str); 3] = [
    ("message", "chat", "conversations", "dataKey.keyId"),
    ("account", "auth", "users", "secondStep.secret.keyId"),
    ("account", "auth", "users", "pendingSecondStep.secret.keyId"),
];

/// Makes a backup of the set at `uri`, whole when this returns. Whatever goes wrong leaves nothing that counts, and nothing at all as far as
/// the store answers.
pub async fn take(
    bucket: &Bucket,
    uri: &str,
    platform: &str,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<(Name, Manifest), Error> {
    // A bucket that cannot be used is told of before anything is read.
    bucket.inventory().await?;
    let name = Name::new(clock.now(), &mut rand::rng());
    let mut snapshot = Snapshot::open(uri).await?;
    let outcome = match snapshot.begin(&DATABASES).await {
        Ok(collections) => {
            let taking = Taking { bucket, name: &name, snapshot: &snapshot, platform, clock, stop };
            taking.run(&collections).await
        }
        Err(error) => Err(error),
    };
    snapshot.close().await;
    match outcome {
        Ok(manifest) => Ok((name, manifest)),
        Err(error) => {
            if let Err(left) = bucket.remove(&name).await {
                tracing::warn!(backup = %name, error = %left, "what is left of the backup goes with a later one");
            }
            Err(error)
        }
    }
}

struct Taking<'a> {
    bucket: &'a Bucket,
    name: &'a Name,
    snapshot: &'a Snapshot,
    platform: &'a str,
    clock: &'a Clock,
    stop: &'a CancellationToken,
}

impl Taking<'_> {
    async fn run(&self, collections: &[Collection]) -> Result<Manifest, Error> {
        let mut files = Vec::new();
        for collection in collections {
            files.push(self.documents(collection).await?);
        }
        let manifest = Manifest {
            form: Manifest::form(),
            name: self.name.to_string(),
            platform: self.platform.to_owned(),
            release: RELEASE.to_owned(),
            server: self.snapshot.server().to_owned(),
            at: self.snapshot.at(),
            cluster_time: self.snapshot.cluster_time(),
            keys: self.keys(collections).await?,
            collections: self.descriptions(collections).await?,
            files,
            finished_at: self.clock.now(),
        };
        self.bucket.commit(self.name, &manifest).await?;
        Ok(manifest)
    }

    async fn documents(&self, collection: &Collection) -> Result<File, Error> {
        let mut writer = FileWriter::begin(self.bucket, &self.bucket.folder(self.name), collection.path());
        let written = async {
            let mut documents = self.snapshot.documents(collection).await?;
            let reading = || Error::database(format!("read {}.{}", collection.database, collection.name));
            while let Some(document) = documents.try_next().await.map_err(reading())? {
                if self.stop.is_cancelled() {
                    return Err(Error::Stopped);
                }
                writer.add(&document).await?;
            }
            Ok(writer.finish().await?)
        };
        let written: Result<File, Error> = written.await;
        self.settle(writer, written).await
    }

    async fn descriptions(&self, collections: &[Collection]) -> Result<File, Error> {
        let path = "collections.bson.gz".to_owned();
        let mut writer = FileWriter::begin(self.bucket, &self.bucket.folder(self.name), path);
        let written = async {
            for collection in collections {
                let document = RawDocumentBuf::try_from(&collection.to_document());
                let document = document.map_err(|error| Error::database("describe a collection")(error.into()))?;
                writer.add(&document).await?;
            }
            Ok(writer.finish().await?)
        };
        let written: Result<File, Error> = written.await;
        self.settle(writer, written).await
    }

    /// Nothing stays of a file that was not written to its end.
    async fn settle(&self, writer: FileWriter, written: Result<File, Error>) -> Result<File, Error> {
        match &written {
            Ok(file) => {
                tracing::info!(file = file.path, documents = file.documents, bytes = file.bytes, "written");
            }
            Err(_) => {
                if let Err(error) = writer.discard().await {
                    tracing::warn!(%error, "what is left of a file goes with a later backup");
                }
            }
        }
        written
    }

    async fn keys(&self, collections: &[Collection]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (ring, database, collection, field) in KEY_IDS {
            let is_there = collections.iter().any(|one| one.database == database && one.name == collection);
            let ids = if is_there { self.snapshot.distinct(database, collection, field).await? } else { Vec::new() };
            keys.entry(ring.to_owned()).or_default().extend(ids);
        }
        Ok(keys.into_iter().map(|(ring, ids)| (ring, ids.into_iter().collect())).collect())
    }
}
