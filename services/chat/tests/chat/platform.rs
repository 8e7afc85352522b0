//! A platform for one test: a database, a Redis database and a virtual host of its own, people with tokens, and replicas of the service.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat::settings::{Backend, MessageKeys, Search, Settings, Sockets};
use contract::id::{SessionId, UserId};
use jiff::Timestamp;
use mongodb::Database;
use reqwest::Method;
use runtime::clock::Clock;
use runtime::config::{Log, MongoDb, RabbitMq, Redis, Server, Tokens};
use runtime::shutdown::Shutdown;
use serde_json::{Value, json};
use servers::OpenSearch;
use servers::access_tokens::{ISSUER, access_token, write_jwks};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) struct Platform {
    folder: TempDir,
    database: String,
    pub(crate) mongodb_uri: String,
    pub(crate) redis_url: String,
    pub(crate) rabbitmq_uri: String,
    /// What a replica in this process lets wait for a socket.
    pub(crate) buffered_packets: usize,
    /// How often it pings.
    pub(crate) ping_interval_seconds: u64,
    /// Where it looks for messages.
    pub(crate) search: Search,
}

/// Someone with a session.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) session: SessionId,
    pub(crate) name: String,
    pub(crate) token: String,
}

/// A replica in this process.
pub(crate) struct Replica {
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) shutdown: Shutdown,
    running: JoinHandle<Result<(), runtime::service::ServiceError>>,
}

impl Platform {
    pub(crate) fn new() -> Self {
        Self::with(servers::Redis::shared().database(), servers::RabbitMq::shared().virtual_host())
    }

    /// The same platform as seen by a replica that uses another Redis.
    pub(crate) fn apart(&self, redis_url: String) -> Self {
        let mut apart = Self::with(redis_url, self.rabbitmq_uri.clone());
        apart.database.clone_from(&self.database);
        apart
    }

    pub(crate) fn with(redis_url: String, rabbitmq_uri: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mongodb_uri = servers::MongoDb::shared().uri();
        let database = format!("chat-{}", UserId::generate());
        for (name, content) in
            [("mongodb-uri", &mongodb_uri), ("redis-url", &redis_url), ("rabbitmq-uri", &rabbitmq_uri)]
        {
            fs::write(folder.path().join(name), content).unwrap();
        }
        write_jwks(folder.path()).unwrap();
        let (buffered_packets, ping_interval_seconds) = (4096, 25);
        let search = Search {
            backend: Backend::MongoDb,
            endpoint: String::new(),
            // The name of an index has no capitals.
            index: format!("chat-{}", UserId::generate()).to_lowercase(),
            username_file: None,
            password_file: None,
        };
        let platform = Self {
            folder,
            database,
            mongodb_uri,
            redis_url,
            rabbitmq_uri,
            buffered_packets,
            ping_interval_seconds,
            search,
        };
        platform.write_message_keys("mk-1", &[("mk-1", 1)]);
        platform
    }

    /// Replaces the ring of key-encryption keys.
    pub(crate) fn write_message_keys(&self, current: &str, keys: &[(&str, u8)]) {
        let keys: serde_json::Map<_, _> =
            keys.iter().map(|(id, fill)| ((*id).to_owned(), STANDARD.encode([*fill; 32]).into())).collect();
        let ring = json!({"current": current, "keys": keys}).to_string();
        fs::write(self.folder.path().join("message-keys.json"), ring).unwrap();
    }

    /// From the next start on, messages are looked for in `OpenSearch`.
    pub(crate) fn search_by(&mut self, endpoint: &str) {
        self.write_password(OpenSearch::PASSWORD);
        let file = |name: &str| Some(self.folder.path().join(name));
        fs::write(self.folder.path().join("username"), OpenSearch::USER).unwrap();
        self.search = Search {
            backend: Backend::OpenSearch,
            endpoint: endpoint.to_owned(),
            username_file: file("username"),
            password_file: file("password"),
            ..self.search.clone()
        };
    }

    /// Replaces the password for `OpenSearch`.
    pub(crate) fn write_password(&self, password: &str) {
        fs::write(self.folder.path().join("password"), password).unwrap();
    }

    /// Whom replicas trust for `OpenSearch` from the next start on.
    pub(crate) fn write_authority(&self, pem: &str) {
        fs::write(self.folder.path().join("ca.crt"), pem).unwrap();
    }

    pub(crate) async fn start(&self) -> Replica {
        self.start_with(Clock::system()).await
    }

    pub(crate) async fn start_with(&self, clock: Clock) -> Replica {
        let service = chat::service(&self.settings(), clock).await.unwrap();
        let bound = service.bind().await.unwrap();
        let url = format!("http://{}", bound.address().unwrap());
        let admin_url = format!("http://{}", bound.admin_address().unwrap());
        let shutdown = bound.shutdown();
        let running = tokio::spawn(bound.serve());
        let replica = Replica { url, admin_url, shutdown, running };
        until_ready(&replica.admin_url).await;
        replica
    }

    pub(crate) async fn database(&self) -> Database {
        mongodb::Client::with_uri_str(&self.mongodb_uri).await.unwrap().database(&self.database)
    }

    /// The settings of a replica as the environment of its process.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut variables = vec![
            ("CHATPLATFORM_SERVER__SETTLE_SECONDS", "0".to_owned()),
            ("CHATPLATFORM_LOG__FILTER", "debug".to_owned()),
            ("CHATPLATFORM_MONGODB__URI_FILE", file("mongodb-uri")),
            ("CHATPLATFORM_MONGODB__DATABASE", self.database.clone()),
            ("CHATPLATFORM_REDIS__URL_FILE", file("redis-url")),
            ("CHATPLATFORM_RABBITMQ__URI_FILE", file("rabbitmq-uri")),
            ("CHATPLATFORM_TOKENS__ISSUER", ISSUER.to_owned()),
            ("CHATPLATFORM_TOKENS__JWKS_FILE", file("jwks.json")),
            ("CHATPLATFORM_MESSAGE_KEYS__FILE", file("message-keys.json")),
        ];
        if self.search.backend == Backend::OpenSearch {
            variables.extend([
                ("CHATPLATFORM_SEARCH__BACKEND", "opensearch".to_owned()),
                ("CHATPLATFORM_SEARCH__ENDPOINT", self.search.endpoint.clone()),
                ("CHATPLATFORM_SEARCH__INDEX", self.search.index.clone()),
                ("CHATPLATFORM_SEARCH__USERNAME_FILE", file("username")),
                ("CHATPLATFORM_SEARCH__PASSWORD_FILE", file("password")),
            ]);
        }
        variables
    }

    fn settings(&self) -> Settings {
        let file = |name: &str| self.folder.path().join(name);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Settings {
            server: Server { listen: any, admin_listen: any, drain_seconds: 20, settle_seconds: 0 },
            log: Log { filter: "info".into() },
            mongodb: MongoDb { uri_file: file("mongodb-uri"), database: self.database.clone() },
            redis: Redis { url_file: file("redis-url"), authority_file: None },
            rabbitmq: RabbitMq { uri_file: file("rabbitmq-uri") },
            tokens: Tokens {
                issuer: ISSUER.into(),
                audience: "chatplatform".into(),
                jwks_file: file("jwks.json"),
                signing_keys_file: None,
            },
            message_keys: MessageKeys { file: file("message-keys.json") },
            search: self.search.clone(),
            sockets: Sockets {
                max_payload_bytes: 131_072,
                buffered_packets: self.buffered_packets,
                ping_interval_seconds: self.ping_interval_seconds,
                ping_timeout_seconds: self.ping_interval_seconds.min(20),
            },
        }
    }
}

impl Person {
    pub(crate) fn new() -> Self {
        Self::whose_token_lasts(600)
    }

    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::new() }.renewed()
    }

    pub(crate) fn whose_token_lasts(seconds: i64) -> Self {
        let (id, session, name) = (UserId::generate(), SessionId::generate(), "someone".to_owned());
        Self { token: token(id, session, &name, seconds), id, session, name }
    }

    /// Another token of the same session.
    pub(crate) fn renewed(&self) -> Self {
        Self { token: token(self.id, self.session, &self.name, 600), ..self.clone() }
    }
}

impl Replica {
    /// A REST request as a person; gives status and body (null if there is none).
    pub(crate) async fn call(&self, who: &Person, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = reqwest::Client::new().request(method, url).bearer_auth(&who.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, who: &Person, path: &str) -> (u16, Value) {
        self.call(who, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, who: &Person, path: &str, body: Value) -> (u16, Value) {
        self.call(who, Method::POST, path, Some(body)).await
    }

    /// Opens the direct conversation of two and gives its id.
    pub(crate) async fn direct(&self, one: &Person, other: &Person) -> String {
        let (status, body) = self.post(one, "/conversations", json!({"type": "direct", "memberIds": [other.id]})).await;
        assert!(matches!(status, 200 | 201), "{status}: {body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Opens a group and gives its id.
    pub(crate) async fn group(&self, owner: &Person, others: &[&Person]) -> String {
        let ids: Vec<UserId> = others.iter().map(|person| person.id).collect();
        let (status, body) =
            self.post(owner, "/conversations", json!({"type": "group", "title": "Friends", "memberIds": ids})).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Sends one message and gives it.
    pub(crate) async fn say(&self, who: &Person, conversation: &str, text: &str) -> Value {
        let (status, body) =
            self.post(who, &format!("/conversations/{conversation}/messages"), json!({"text": text})).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    /// Every message of a conversation, oldest first, page by page.
    pub(crate) async fn history(&self, who: &Person, conversation: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/conversations/{conversation}/messages?limit=70{cursor}");
            let (status, page) = self.get(who, &path).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = reqwest::get(format!("{}/metrics", self.admin_url)).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// What the admin port says of the ring of key-encryption keys.
    pub(crate) async fn message_keys(&self) -> Value {
        let health = reqwest::get(format!("{}/health", self.admin_url)).await.unwrap().json::<Value>().await;
        health.unwrap()["keys"]["message"].clone()
    }

    /// Stops as SIGTERM does, and waits for the end.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        let ended = tokio::time::timeout(Duration::from_secs(40), self.running).await;
        ended.expect("the service ends").unwrap().unwrap();
    }
}

/// Waits until a replica says that it is ready.
pub(crate) async fn until_ready(admin_url: &str) {
    let deadline = tokio::time::Instant::now() + super::client::PATIENCE;
    loop {
        let answer = reqwest::get(format!("{admin_url}/readyz")).await;
        let said = match answer {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        assert!(tokio::time::Instant::now() < deadline, "not ready: {said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn token(user: UserId, session: SessionId, name: &str, seconds: i64) -> String {
    let expires = Timestamp::now().as_second() + seconds;
    access_token(&json!({"sub": user, "sid": session, "jti": UserId::generate(), "exp": expires, "name": name}))
}
