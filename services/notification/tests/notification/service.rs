//! The service, running in the test's own process with a database and a virtual host of its own.

use std::{collections::BTreeMap, fs, future::Future, path::Path, time::Duration};

use contract::{
    device::Device,
    event::{Envelope, Event},
    id::{SessionId, UserId},
    notification::Notification,
    page::Page,
    problem::Problem,
};
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use mongodb::{
    Collection, Database,
    bson::{Document, doc},
};
use notification::settings::{DEFAULTS, Settings};
use reqwest::{Method, Response, StatusCode};
use runtime::{
    clock::Clock,
    config, connect,
    messaging::{Connector, Publisher},
    shutdown::Shutdown,
};
use serde_json::{Value, json};
use servers::{
    Fcm, MongoDb, RabbitMq, Smtp,
    access_tokens::{ISSUER, access_token, write_jwks},
    fcm,
};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::events::envelope;

/// The file of the service account's key.
pub(crate) const SERVICE_ACCOUNT: &str = "service-account.json";

/// How long a condition may take to come true: a broker that restarts takes its time.
const PATIENCE: Duration = Duration::from_mins(1);

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
    /// Its broker, seen past it.
    pub(crate) broker: Connector,
    /// Publishes what other services would.
    pub(crate) publisher: Publisher,
    clock: Clock,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    folder: TempDir,
}

/// Someone with an access token.
pub(crate) struct User<'a> {
    /// Who.
    pub(crate) id: UserId,
    /// By which log-in.
    pub(crate) session: SessionId,
    service: &'a Service,
    token: String,
}

impl Service {
    /// A service on the shared servers, without e-mail.
    pub(crate) async fn start() -> Self {
        Self::start_with(RabbitMq::shared(), None, Clock::system()).await
    }

    /// A service on the shared servers that sends e-mail to the shared mail server.
    pub(crate) async fn start_with_email() -> Self {
        Self::start_with(RabbitMq::shared(), Some(Smtp::shared()), Clock::system()).await
    }

    /// A service on the shared servers that pushes by `fcm` alone.
    pub(crate) async fn start_with_push(fcm: &Fcm, clock: Clock) -> Self {
        Self::start_anew(RabbitMq::shared(), None, clock, |folder| push_settings(folder, fcm)).await
    }

    /// A service on the shared database, this broker and this mail server.
    pub(crate) async fn start_with(broker: &RabbitMq, smtp: Option<&Smtp>, clock: Clock) -> Self {
        Self::start_anew(broker, smtp, clock, |_| Vec::new()).await
    }

    /// A service with more settings, which may refer to files in its folder.
    pub(crate) async fn start_anew(
        broker: &RabbitMq,
        smtp: Option<&Smtp>,
        clock: Clock,
        more: impl FnOnce(&Path) -> Vec<(&'static str, String)>,
    ) -> Self {
        install_crypto();
        log_if_asked();
        let folder = tempfile::tempdir().unwrap();
        write_jwks(folder.path()).unwrap();
        let more = more(folder.path());
        let settings: Settings = config::load_from(DEFAULTS, environment(folder.path(), broker, smtp, &more)).unwrap();
        let service = notification::service(&settings, clock.clone()).await.unwrap().bind().await.unwrap();
        let url = format!("http://{}", service.address().unwrap());
        let admin_url = format!("http://{}", service.admin_address().unwrap());
        let connector = Connector::new(&settings.rabbitmq.uri_file, "test");
        let service = Self {
            url,
            admin_url,
            http: reqwest::Client::new(),
            database: connect::mongodb(&settings.mongodb).await.unwrap().now().clone(),
            publisher: Publisher::new(connector.clone()),
            broker: connector,
            clock,
            shutdown: service.shutdown(),
            serving: tokio::spawn(async move { service.serve().await.unwrap() }),
            folder,
        };
        consuming(&service.broker).await;
        service
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What its admin listener answers, whatever the status.
    pub(crate) async fn admin(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.admin_url)).send().await.unwrap().text().await.unwrap()
    }

    /// A new user.
    pub(crate) fn user(&self) -> User<'_> {
        let (id, session, now) = (UserId::generate(), SessionId::generate(), self.clock.now().as_second());
        // By the service's clock, which may stand still while this machine is slow.
        let claims = json!({"sub": id, "sid": session, "iat": now, "exp": now + 600});
        User { id, session, service: self, token: access_token(&claims) }
    }

    /// Publishes an event.
    pub(crate) async fn publish(&self, event: impl Into<Event>) {
        self.deliver(&envelope(event)).await;
    }

    /// Publishes an event whose envelope is given.
    pub(crate) async fn deliver(&self, envelope: &Envelope) {
        self.publisher.publish(envelope).await.unwrap();
    }

    /// How many messages are ready in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> u32 {
        let channel = self.broker.channel().await.unwrap();
        runtime::messaging::depth(&channel, queue).await.unwrap()
    }

    /// The documents of notifications.
    pub(crate) fn records(&self) -> Collection<Document> {
        self.database.collection("notifications")
    }

    /// How many e-mails are due.
    pub(crate) async fn due(&self) -> u64 {
        self.records().count_documents(doc! {"email": {"$exists": true}}).await.unwrap()
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
    pub(crate) async fn send(&self, method: Method, path: &str) -> Response {
        let url = format!("{}/api/v1{path}", self.service.url);
        self.service.http.request(method, url).bearer_auth(&self.token).send().await.unwrap()
    }

    /// A request of this user with a body.
    pub(crate) async fn send_json(&self, method: Method, path: &str, body: &Value) -> Response {
        let url = format!("{}/api/v1{path}", self.service.url);
        self.service.http.request(method, url).bearer_auth(&self.token).json(body).send().await.unwrap()
    }

    /// A request of this user with a body, under an `Idempotency-Key`.
    pub(crate) async fn post_under(&self, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/api/v1{path}", self.service.url);
        let request = self.service.http.post(url).bearer_auth(&self.token).header("Idempotency-Key", key);
        let answer = request.json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Registers a phone with this token.
    pub(crate) async fn register(&self, token: &str) -> Device {
        let answer = self.send_json(Method::POST, "/devices", &json!({"token": token, "platform": "android"})).await;
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.unwrap()
    }

    /// This user's devices.
    pub(crate) async fn devices(&self) -> Vec<Device> {
        let answer = self.send(Method::GET, "/devices").await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Page<Device>>().await.unwrap().items
    }

    /// Says how this user wants to be told.
    pub(crate) async fn prefer(&self, preferences: &Value) {
        let answer = self.send_json(Method::PUT, "/notification-preferences", preferences).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// One page of this user's list.
    pub(crate) async fn page(&self, query: &str) -> Page<Notification> {
        let answer = self.send(Method::GET, &format!("/notifications{query}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// The first page.
    pub(crate) async fn notifications(&self) -> Vec<Notification> {
        self.page("").await.items
    }

    /// Waits until this user has so many notifications.
    pub(crate) async fn has(&self, count: usize) -> Vec<Notification> {
        until(&format!("the user has {count} notifications"), async || self.notifications().await.len() >= count).await;
        let found = self.notifications().await;
        assert_eq!(found.len(), count);
        found
    }
}

/// The problem an answer carries, its form checked.
pub(crate) async fn problem(answer: Response) -> Problem {
    let status = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

/// Waits until `condition` is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still not so: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}

/// Waits until the service's queue has a consumer: what is published before it is bound goes nowhere.
pub(crate) async fn consuming(broker: &Connector) {
    until("the queue has a consumer", async || {
        let Ok(channel) = broker.channel().await else { return false };
        let options = QueueDeclareOptions::durable().passive();
        let queue = channel.queue_declare(notification::consumer::QUEUE.into(), options, FieldTable::default()).await;
        queue.is_ok_and(|queue| queue.consumer_count() > 0)
    })
    .await;
}

/// What the operator would hand to the container.
pub(crate) fn environment(
    folder: &Path,
    broker: &RabbitMq,
    smtp: Option<&Smtp>,
    more: &[(&str, String)],
) -> BTreeMap<String, String> {
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut settings = vec![
        ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__SETTLE_SECONDS", "0".to_owned()),
        ("MONGODB__URI_FILE", file("mongodb-uri", &MongoDb::shared().uri())),
        ("MONGODB__DATABASE", format!("notification-{:x}", rand::random::<u64>())),
        ("RABBITMQ__URI_FILE", file("rabbitmq-uri", &broker.virtual_host())),
        ("TOKENS__ISSUER", ISSUER.to_owned()),
        ("TOKENS__JWKS_FILE", folder.join("jwks.json").to_str().unwrap().to_owned()),
        ("WEB__URL", ISSUER.to_owned()),
    ];
    if let Some(smtp) = smtp {
        settings.extend([
            ("EMAIL__HOST", smtp.host().to_owned()),
            ("EMAIL__PORT", smtp.port().to_string()),
            ("EMAIL__TLS", "none".to_owned()),
            ("EMAIL__FROM", "Acme Chat <chat@acme.example>".to_owned()),
        ]);
    }
    let more = more.iter().map(|(name, value)| (*name, value.clone()));
    settings.into_iter().chain(more).map(|(name, value)| (format!("CHATPLATFORM_{name}"), value)).collect()
}

/// Settings of push by `fcm`, whose key is written to the folder.
pub(crate) fn push_settings(folder: &Path, fcm: &Fcm) -> Vec<(&'static str, String)> {
    let file = folder.join(SERVICE_ACCOUNT);
    fs::write(&file, fcm.credentials().unwrap().to_string()).unwrap();
    vec![
        ("PUSH__PROJECT_ID", fcm::PROJECT.to_owned()),
        ("PUSH__ENDPOINT", fcm.url().to_owned()),
        ("PUSH__CREDENTIALS_FILE", file.to_str().unwrap().to_owned()),
    ]
}

/// TLS needs to be told which of the linked providers to use; told twice is fine.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// `RUST_LOG=info` shows the service's log among the tests' output.
fn log_if_asked() {
    if let Ok(filter) = std::env::var("RUST_LOG") {
        // Another test may have begun it.
        let _ = runtime::telemetry::init("notification", &config::Log { filter });
    }
}
