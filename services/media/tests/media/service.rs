//! The service, running in the test's own process with a database and a bucket of its own.

use std::{collections::BTreeMap, fs, future::Future, path::Path, time::Duration};

use aws_sdk_s3::Client;
use contract::{
    event::{Envelope, Event},
    id::{SessionId, UserId},
    media::Media,
    problem::Problem,
};
use jiff::Timestamp;
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use media::settings::{DEFAULTS, Settings};
use mongodb::{
    Collection, Database,
    bson::{Document, doc},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use runtime::{
    clock::Clock,
    config, connect,
    messaging::{Connector, Publisher},
    shutdown::Shutdown,
};
use serde_json::json;
use servers::{
    MongoDb, ObjectStorage, RabbitMq,
    access_tokens::{ISSUER, access_token, write_jwks},
};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::form;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running service.
pub(crate) struct Service {
    /// Where it answers clients.
    pub(crate) url: String,
    /// Where it answers probes.
    pub(crate) admin_url: String,
    /// What the test's own client is.
    pub(crate) http: reqwest::Client,
    /// Its database, seen past it.
    pub(crate) database: Database,
    /// Its store, seen past it with the right secret.
    pub(crate) store: Client,
    /// Its bucket.
    pub(crate) bucket: String,
    /// Publishes what other services would.
    pub(crate) publisher: Publisher,
    broker: Connector,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

/// Someone with an access token.
pub(crate) struct User<'a> {
    /// Who.
    pub(crate) id: UserId,
    service: &'a Service,
    token: String,
}

impl Service {
    /// A service on the shared servers.
    pub(crate) async fn start() -> Self {
        Self::start_with(ObjectStorage::shared(), &[]).await
    }

    /// A service on the shared database and this store, with these settings beside.
    pub(crate) async fn start_with(store: &ObjectStorage, more: &[(&str, &str)]) -> Self {
        install_crypto();
        log_if_asked();
        let folder = tempfile::tempdir().unwrap();
        write_jwks(folder.path()).unwrap();
        let variables = environment(folder.path(), store, more);
        let settings: Settings = config::load_from(DEFAULTS, variables).unwrap();
        let right = settings_with_the_right_secret(&settings, folder.path(), store);
        let service = media::service(&settings, Clock::system()).await.unwrap().bind().await.unwrap();
        let url = format!("http://{}", service.address().unwrap());
        let admin_url = format!("http://{}", service.admin_address().unwrap());
        let broker = Connector::new(&settings.rabbitmq.uri_file, "test");
        Self {
            url,
            admin_url,
            http: reqwest::Client::new(),
            database: connect::mongodb(&settings.mongodb).await.unwrap().now().clone(),
            store: connect::object_storage(&right).unwrap().0,
            bucket: right.bucket,
            publisher: Publisher::new(broker.clone()),
            broker,
            shutdown: service.shutdown(),
            serving: tokio::spawn(async move { service.serve().await.unwrap() }),
            _folder: folder,
        }
    }

    /// A new user.
    pub(crate) fn user(&self) -> User<'_> {
        let id = UserId::generate();
        User { id, service: self, token: token(id) }
    }

    /// The records of files.
    pub(crate) fn records(&self) -> Collection<Document> {
        self.database.collection("files")
    }

    /// How many records are in this state.
    pub(crate) async fn count(&self, state: &str) -> u64 {
        self.records().count_documents(doc! {"state": state}).await.unwrap()
    }

    /// Keys of all objects in the bucket.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let listed = self.store.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// Publishes an event of that time, once the service's queue is bound: what is published before goes nowhere.
    pub(crate) async fn publish(&self, event: impl Into<Event>, at: Timestamp) {
        let broker = &self.broker;
        until("the queue has a consumer", async || {
            let Ok(channel) = broker.channel().await else { return false };
            let options = QueueDeclareOptions::durable().passive();
            let queue = channel.queue_declare(media::accounts::QUEUE.into(), options, FieldTable::default()).await;
            queue.is_ok_and(|queue| queue.consumer_count() > 0)
        })
        .await;
        let envelope = Envelope::new("auth", event.into(), None, at, &mut rand::rng());
        self.publisher.publish(&envelope).await.unwrap();
    }

    /// How many multipart uploads are under way in the bucket.
    pub(crate) async fn multipart_uploads(&self) -> usize {
        self.store.list_multipart_uploads().bucket(&self.bucket).send().await.unwrap().uploads().len()
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        self.serving.await.unwrap();
        self.database.drop().await.unwrap();
    }
}

impl User<'_> {
    /// A request of this user.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.service.http.request(method, format!("{}/api/v1{path}", self.service.url)).bearer_auth(&self.token)
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Uploads `content` under `filename`.
    pub(crate) async fn upload(&self, filename: &str, content: &[u8]) -> Response {
        let form = form::of_file(filename, content);
        self.request(Method::POST, "/media").header("content-type", form::CONTENT_TYPE).body(form).send().await.unwrap()
    }

    /// Uploads `content` under an `Idempotency-Key`.
    pub(crate) async fn upload_under(&self, key: &str, filename: &str, content: &[u8]) -> Response {
        let form = form::of_file(filename, content);
        let request = self.request(Method::POST, "/media").header("Idempotency-Key", key);
        request.header("content-type", form::CONTENT_TYPE).body(form).send().await.unwrap()
    }

    /// Uploads `content`, which has to be taken.
    pub(crate) async fn stored(&self, filename: &str, content: &[u8]) -> Media {
        let answer = self.upload(filename, content).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.unwrap()
    }

    /// The access token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// The problem an answer carries, its form checked.
pub(crate) async fn problem(answer: Response) -> Problem {
    let status = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert!(problem.trace_id.is_some());
    problem
}

/// Waits until `condition` is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes that no signature fits and no run of which repeats soon, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    // Not text, and no signature begins so.
    bytes.extend_from_slice(b"\0\x01\x02");
    while bytes.len() < length {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What the operator would hand to the container.
pub(crate) fn environment(folder: &Path, store: &ObjectStorage, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let settings = [
        ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__SETTLE_SECONDS", "0".to_owned()),
        ("MONGODB__URI_FILE", file("mongodb-uri", &MongoDb::shared().uri())),
        ("MONGODB__DATABASE", format!("media-{:x}", rand::random::<u64>())),
        ("RABBITMQ__URI_FILE", file("rabbitmq-uri", &RabbitMq::shared().virtual_host())),
        ("OBJECT_STORAGE__ENDPOINT", store.endpoint()),
        ("OBJECT_STORAGE__REGION", store.region().to_owned()),
        ("OBJECT_STORAGE__BUCKET", store.bucket()),
        ("OBJECT_STORAGE__ACCESS_KEY_ID_FILE", file("s3-id", store.access_key_id())),
        ("OBJECT_STORAGE__SECRET_ACCESS_KEY_FILE", file("s3-secret", store.secret_access_key())),
        ("TOKENS__ISSUER", ISSUER.to_owned()),
        ("TOKENS__JWKS_FILE", folder.join("jwks.json").to_str().unwrap().to_owned()),
    ];
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    settings.into_iter().chain(more).map(|(name, value)| (format!("CHATPLATFORM_{name}"), value)).collect()
}

/// TLS needs to be told which of the linked providers to use; told twice is fine.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// `RUST_LOG=info` shows the service's log among the tests' output.
fn log_if_asked() {
    if let Ok(filter) = std::env::var("RUST_LOG") {
        // Another test may have begun it.
        let _ = runtime::telemetry::init("media", &config::Log { filter });
    }
}

fn settings_with_the_right_secret(settings: &Settings, folder: &Path, store: &ObjectStorage) -> config::ObjectStorage {
    let secret = folder.join("right-secret");
    fs::write(&secret, store.secret_access_key()).unwrap();
    config::ObjectStorage { secret_access_key_file: secret, ..settings.object_storage.clone() }
}

/// An access token of a user.
pub(crate) fn token(user: UserId) -> String {
    access_token(&json!({"sub": user, "sid": SessionId::generate()}))
}
