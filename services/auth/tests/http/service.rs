//! The service under test: the whole of it, on a port of its own, with a database, a Redis database and a virtual host
//! that no other test has.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use reqwest::{Client, Method, StatusCode};
use runtime::clock::Clock;
use runtime::config::load_from;
use runtime::shutdown::Shutdown;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use auth::settings::{DEFAULTS, Settings};

pub(crate) const PASSWORD: &str = "a fine password";

/// The service, and what a test needs to look at it from all sides. Its clock stands still until a test moves it.
pub(crate) struct Auth {
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) rabbitmq: String,
    redis: String,
    files: TempDir,
    mail: bool,
    /// Settings beside those that every test has; they hold from the next start on.
    pub(crate) besides: Vec<(&'static str, &'static str)>,
    running: Option<Running>,
}

struct Running {
    base: String,
    admin: String,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

/// Somebody who is logged in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) user: Value,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl LoggedIn {
    pub(crate) fn session(&self) -> String {
        self.refresh_token.split_once('.').unwrap().0.to_owned()
    }
}

impl From<Value> for LoggedIn {
    fn from(answer: Value) -> Self {
        Self {
            user: answer["user"].clone(),
            access_token: answer["accessToken"].as_str().unwrap().to_owned(),
            refresh_token: answer["refreshToken"].as_str().unwrap().to_owned(),
        }
    }
}

/// The names of the fields that a problem finds fault with.
pub(crate) fn fields(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

impl Auth {
    pub(crate) async fn start() -> Self {
        Self::start_with_redis(servers::Redis::shared().database()).await
    }

    /// As on a platform that sends mail.
    pub(crate) async fn start_with_mail() -> Self {
        Self::start_as(servers::Redis::shared().database(), true).await
    }

    pub(crate) async fn start_with_redis(redis: String) -> Self {
        Self::start_as(redis, false).await
    }

    async fn start_as(redis: String, mail: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mongodb = servers::MongoDb::shared().uri();
        let rabbitmq = servers::RabbitMq::shared().virtual_host();
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(files.path().join(name), text).unwrap();
        write("mongodb-uri", &mongodb);
        write("redis-url", &redis);
        write("rabbitmq-uri", &rabbitmq);
        write_keys(files.path(), "kid-1", &["kid-1"]);
        write("account-keys.json", &account_keys("ak-1", &["ak-1"]));
        let database = mongodb::Client::with_uri_str(&mongodb).await.unwrap();
        let database = database.database(&format!("auth-{}", ulid::Ulid::generate()));
        let mut auth = Self {
            clock: Clock::manual(Timestamp::now()),
            client: Client::builder().user_agent("tests/1").build().unwrap(),
            database,
            rabbitmq,
            redis,
            files,
            mail,
            besides: Vec::new(),
            running: None,
        };
        auth.restart().await;
        auth
    }

    /// Stops the service as SIGTERM does, if it runs, and starts it with the same settings.
    pub(crate) async fn restart(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown.begin();
            running.served.await.unwrap();
        }
        let service = auth::service(&self.settings(), self.clock.clone()).await.unwrap();
        let bound = service.bind().await.unwrap();
        let base = format!("http://{}", bound.address().unwrap());
        let admin = format!("http://{}", bound.admin_address().unwrap());
        let shutdown = bound.shutdown();
        let served = tokio::spawn(async move { bound.serve().await.unwrap() });
        self.running = Some(Running { base, admin: admin.clone(), shutdown, served });
        self.until("the service is ready", async || {
            let answer = self.client.get(format!("{admin}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    fn settings(&self) -> Settings {
        load_from(DEFAULTS, self.environment()).unwrap()
    }

    /// What the service is told from outside.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.files.path().join(name).to_str().unwrap().to_owned();
        let variables = [
            ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
            ("SERVER__ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("SERVER__SETTLE_SECONDS", "0".to_owned()),
            ("MONGODB__URI_FILE", path("mongodb-uri")),
            ("MONGODB__DATABASE", self.database.name().to_owned()),
            ("REDIS__URL_FILE", path("redis-url")),
            ("RABBITMQ__URI_FILE", path("rabbitmq-uri")),
            ("TOKENS__ISSUER", "https://chat.example.org".to_owned()),
            ("TOKENS__JWKS_FILE", path("jwks.json")),
            ("TOKENS__SIGNING_KEYS_FILE", path("keys.json")),
            ("ACCOUNT_KEYS__FILE", path("account-keys.json")),
            ("EMAIL__ENABLED", self.mail.to_string()),
        ];
        let besides = self.besides.iter().map(|(name, value)| (*name, (*value).to_owned()));
        variables.into_iter().chain(besides).map(|(name, value)| (format!("CHATPLATFORM_{name}"), value)).collect()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.as_ref().unwrap().base)
    }

    /// The address of the admin port.
    pub(crate) fn admin(&self) -> &str {
        &self.running.as_ref().unwrap().admin
    }

    /// A user `name` with the address `name@example.org`.
    pub(crate) async fn register(&self, name: &str) -> LoggedIn {
        self.register_as(name, name).await
    }

    pub(crate) async fn register_as(&self, name: &str, display_name: &str) -> LoggedIn {
        let body = json!({
            "email": format!("{name}@example.org"), "username": name, "displayName": display_name, "password": PASSWORD,
        });
        let (status, answer) = self.post("/api/v1/auth/register", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer.into()
    }

    pub(crate) async fn login(&self, name: &str) -> LoggedIn {
        let (status, answer) = self.post("/api/v1/auth/login", &json!({"username": name, "password": PASSWORD})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer.into()
    }

    /// The next tokens, or the code of the problem.
    pub(crate) async fn refresh(&self, token: &str) -> Result<LoggedIn, String> {
        let (status, answer) = self.post("/api/v1/auth/refresh", &json!({"refreshToken": token})).await;
        if status == StatusCode::OK { Ok(answer.into()) } else { Err(answer["code"].as_str().unwrap().to_owned()) }
    }

    /// The user names that a search finds, in its order.
    pub(crate) async fn find(&self, query: &str, access_token: &str) -> Vec<String> {
        let mut url = reqwest::Url::parse(&self.url("/api/v1/users")).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let page = self.client.get(url).bearer_auth(access_token).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        let page: Value = page.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        items.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn get(&self, path: &str, access_token: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, Some(access_token), None).await
    }

    pub(crate) async fn delete(&self, path: &str, access_token: &str) -> (StatusCode, Value) {
        self.send(Method::DELETE, path, Some(access_token), None).await
    }

    pub(crate) async fn patch(&self, path: &str, access_token: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::PATCH, path, Some(access_token), Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, None, Some(body)).await
    }

    pub(crate) async fn post_as(&self, path: &str, access_token: &str) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(access_token), None).await
    }

    pub(crate) async fn post_by(&self, who: &LoggedIn, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(&who.access_token), Some(body)).await
    }

    pub(crate) async fn put_by(&self, who: &LoggedIn, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::PUT, path, Some(&who.access_token), Some(body)).await
    }

    /// Makes an admin of the account, past the service.
    pub(crate) async fn make_admin(&self, username: &str) {
        let users = self.database.collection::<Document>("users");
        let update = doc! {"$set": {"roles": ["user", "admin"]}};
        assert_eq!(users.update_one(doc! {"username": username}, update).await.unwrap().matched_count, 1);
    }

    /// The code of a problem that is answered with `status`.
    pub(crate) fn refused(status: StatusCode, answer: (StatusCode, Value)) -> String {
        let (found, problem) = answer;
        assert_eq!(found, status, "{problem}");
        problem["code"].as_str().unwrap_or_else(|| panic!("no problem: {problem}")).to_owned()
    }

    /// Encrypts new secrets with the key `id` from now on; older ones stay in the ring.
    pub(crate) fn rotate_account_key(&self, id: &str) {
        fs::write(self.files.path().join("account-keys.json"), account_keys(id, &["ak-1", id])).unwrap();
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        access_token: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.client.request(method, self.url(path)).header("x-forwarded-for", "192.0.2.7");
        if let Some(token) = access_token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    pub(crate) fn redis(&self) -> redis::Client {
        redis::Client::open(self.redis.as_str()).unwrap()
    }

    /// Life of a key in seconds; negative where there is none.
    pub(crate) async fn redis_ttl(&self, key: &str) -> i64 {
        let mut redis = self.redis().get_multiplexed_async_connection().await.unwrap();
        redis::cmd("TTL").arg(key).query_async(&mut redis).await.unwrap()
    }

    pub(crate) async fn is_revoked_in_redis(&self, session: &str) -> bool {
        self.redis_ttl(&format!("auth:revoked:{session}")).await > 0
    }

    /// Every document of every collection, as JSON.
    pub(crate) async fn documents(&self) -> String {
        let mut text = String::new();
        for collection in self.database.list_collection_names().await.unwrap() {
            for document in self.all::<Document>(&collection, doc! {}).await {
                text.push_str(&document.to_string());
            }
        }
        text
    }

    pub(crate) async fn all<T: serde::de::DeserializeOwned + Send + Sync>(
        &self,
        collection: &str,
        filter: Document,
    ) -> Vec<T> {
        self.database.collection::<T>(collection).find(filter).await.unwrap().try_collect().await.unwrap()
    }

    /// Keeps the user's password as if it had been hashed when that was done with less memory.
    pub(crate) async fn keep_weak_hash(&self, username: &str) {
        use argon2::password_hash::CustomizedPasswordHasher as _;
        let weak = argon2::Params::new(8 * 1024, 1, 1, None).unwrap();
        let hash: argon2::PasswordHash = argon2::Argon2::default()
            .hash_password_with_params(PASSWORD.as_bytes(), b"sixteen of salt.", weak)
            .unwrap();
        self.keep_hash(username, &hash.to_string()).await;
    }

    /// Keeps the user's password as bcrypt does.
    pub(crate) async fn keep_bcrypt_hash(&self, username: &str) {
        self.keep_hash(username, &bcrypt::hash(PASSWORD, 5).unwrap()).await;
    }

    async fn keep_hash(&self, username: &str, hash: &str) {
        let update = doc! {"$set": {"passwordHash": hash}};
        let users = self.database.collection::<Document>("users");
        let updated = users.update_one(doc! {"username": username}, update).await.unwrap();
        assert_eq!(updated.modified_count, 1);
    }

    /// Makes `kid` the current signing key; the others stay published.
    pub(crate) fn rotate_signing_key(&self, kid: &str) {
        write_keys(self.files.path(), kid, &["kid-1", kid]);
    }

    /// Waits until `condition` holds, for at most twenty seconds.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !condition().await {
            assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A key ring for secrets of accounts, as the operator writes it.
fn account_keys(current: &str, ids: &[&str]) -> String {
    let key = |id: &str| {
        let mut bytes = [0; 32];
        bytes[..id.len()].copy_from_slice(id.as_bytes());
        base64::prelude::BASE64_STANDARD.encode(bytes)
    };
    let keys: serde_json::Map<String, Value> = ids.iter().map(|id| ((*id).to_owned(), key(id).into())).collect();
    json!({"current": current, "keys": keys}).to_string()
}

/// A key ring as the operator writes it, and its public half.
fn write_keys(directory: &Path, current: &str, kids: &[&str]) {
    let keys: Vec<Value> = kids
        .iter()
        .map(|kid| {
            let mut seed = [0; 32];
            seed[..kid.len()].copy_from_slice(kid.as_bytes());
            let public = SigningKey::from_bytes(&seed).verifying_key();
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
                "x": BASE64_URL_SAFE_NO_PAD.encode(public.to_bytes()), "d": BASE64_URL_SAFE_NO_PAD.encode(seed),
            })
        })
        .collect();
    let mut public = keys.clone();
    for key in &mut public {
        key.as_object_mut().unwrap().remove("d");
    }
    fs::write(directory.join("jwks.json"), json!({"keys": public}).to_string()).unwrap();
    fs::write(directory.join("keys.json"), json!({"current": current, "keys": keys}).to_string()).unwrap();
}
