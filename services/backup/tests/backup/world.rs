//! A set to back up, a bucket, and an empty set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, future::Future, time::Duration};

use aws_sdk_s3::Client as Store;
use aws_sdk_s3::primitives::ByteStream;
use backup::DATABASES;
use backup::bucket::Bucket;
use backup::error::Error;
use backup::manifest::Manifest;
use backup::name::Name;
use backup::restore::{self, Target};
use backup::settings::{Backups, Source, Taking};
use futures::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use runtime::clock::Clock;
use runtime::config::{Log, ObjectStorage as StorageSettings};
use servers::{MongoDb, ObjectStorage};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const PREFIX: &str = "team/acme";

/// What a test needs. Servers that it may disturb are its own.
pub(crate) struct World {
    pub(crate) source: MongoDb,
    pub(crate) settings: Taking,
    pub(crate) bucket: Bucket,
    /// The bucket, seen past the program.
    pub(crate) store: Store,
    folder: TempDir,
}

impl World {
    /// With a bucket in the shared store.
    pub(crate) fn new() -> Self {
        Self::with(ObjectStorage::shared())
    }

    /// With a bucket in this store.
    pub(crate) fn with(store: &ObjectStorage) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let source = MongoDb::start().unwrap();
        let settings = Taking {
            log: Log { filter: "info".to_owned() },
            mongodb: Source { uri_file: file(folder.path(), "uri", &source.uri()) },
            object_storage: storage(store, folder.path()),
            backup: Backups {
                prefix: PREFIX.to_owned(),
                retention: 3,
                platform: PREFIX.to_owned(),
                report_file: PathBuf::new(),
            },
        };
        let bucket = Bucket::new(&settings.object_storage, PREFIX).unwrap();
        let store = runtime::connect::object_storage(&settings.object_storage).unwrap().0;
        Self { source, settings, bucket, store, folder }
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A database of the set that is backed up.
    pub(crate) async fn database(&self, name: &str) -> Database {
        client(&self.source).await.database(name)
    }

    /// Makes a backup.
    pub(crate) async fn take(&self) -> Result<(Name, Manifest), Error> {
        let stop = CancellationToken::new();
        backup::take::take(&self.bucket, &self.source.uri(), PREFIX, &Clock::system(), &stop).await
    }

    /// Restores a backup into a set.
    pub(crate) async fn restore(&self, name: &Name, manifest: &Manifest, into: &MongoDb) -> Result<(), Error> {
        self.restore_until(name, manifest, into, &CancellationToken::new()).await
    }

    /// The same, unless it is told to stop before.
    pub(crate) async fn restore_until(
        &self,
        name: &Name,
        manifest: &Manifest,
        into: &MongoDb,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let target = Target::open(|_| Ok(into.uri())).await?;
        restore::restore(&self.bucket, name, manifest, &target, stop).await
    }

    /// Keys of all objects in the bucket.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.store.list_objects_v2().bucket(self.bucket_name()).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// How many multipart uploads are under way in the bucket.
    pub(crate) async fn uploads(&self) -> usize {
        self.store.list_multipart_uploads().bucket(self.bucket_name()).send().await.unwrap().uploads().len()
    }

    /// The bytes of an object of a backup.
    pub(crate) async fn read(&self, name: &Name, path: &str) -> Vec<u8> {
        let key = format!("{}/{path}", self.bucket.folder(name));
        let got = self.store.get_object().bucket(self.bucket_name()).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    /// Puts other bytes in their place; none takes the object away.
    pub(crate) async fn write(&self, name: &Name, path: &str, bytes: Option<Vec<u8>>) {
        let key = format!("{}/{path}", self.bucket.folder(name));
        let bucket = self.bucket_name();
        match bytes {
            Some(bytes) => {
                let body = ByteStream::from(bytes);
                self.store.put_object().bucket(bucket).key(key).body(body).send().await.map(drop).unwrap();
            }
            None => self.store.delete_object().bucket(bucket).key(key).send().await.map(drop).unwrap(),
        }
    }

    fn bucket_name(&self) -> &str {
        &self.settings.object_storage.bucket
    }
}

/// A client of a set that writes to the majority.
pub(crate) async fn client(server: &MongoDb) -> Client {
    let mut options = ClientOptions::parse(server.uri()).await.unwrap();
    options.write_concern = Some(mongodb::options::WriteConcern::majority());
    Client::with_options(options).unwrap()
}

/// Everything in the four databases: documents by collection, in the order of their ids.
pub(crate) async fn content(server: &MongoDb) -> BTreeMap<String, Vec<RawDocumentBuf>> {
    let client = client(server).await;
    let mut content = BTreeMap::new();
    for name in DATABASES {
        let database = client.database(name);
        for collection in database.list_collection_names().await.unwrap() {
            let documents = database.collection::<RawDocumentBuf>(&collection);
            let found = documents.find(doc! {}).sort(doc! {"_id": 1}).await.unwrap();
            content.insert(format!("{name}.{collection}"), found.try_collect().await.unwrap());
        }
    }
    content
}

/// Documents that no compression makes much smaller, of about 1 kB each.
pub(crate) fn bulk(count: usize) -> Vec<Document> {
    (0..count)
        .map(|number| {
            let noise = hex::encode(rand::random::<[u8; 480]>());
            doc! {"_id": i64::try_from(number).unwrap(), "ciphertext": noise}
        })
        .collect()
}

/// Waits until `condition` is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Writes a file; answers its path.
pub(crate) fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn storage(store: &ObjectStorage, folder: &Path) -> StorageSettings {
    StorageSettings {
        endpoint: store.endpoint(),
        region: store.region().to_owned(),
        bucket: store.bucket(),
        path_style: true,
        access_key_id_file: file(folder, "accessKeyId", store.access_key_id()),
        secret_access_key_file: file(folder, "secretAccessKey", store.secret_access_key()),
    }
}
