//! A gateway before real services of the test's own and a real Redis.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use contract::id::{SessionId, UserId};
use futures::StreamExt;
use gateway::settings;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use runtime::{clock::Clock, config, service::ServiceError, shutdown::Shutdown};
use serde_json::{Value, json};
use servers::access_tokens::{ISSUER, access_token, write_jwks};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const LARGE: usize = 64 * 1024 * 1024;

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) serving: JoinHandle<Result<(), ServiceError>>,
    pub(crate) http: reqwest::Client,
    pub(crate) redis_url: String,
    _files: TempDir,
}

/// What differs from one test to the next.
pub(crate) struct With<'a> {
    pub(crate) redis_url: Option<String>,
    pub(crate) notification: Option<SocketAddr>,
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::open_with(With { redis_url: None, notification: None, variables: &[] }).await
    }

    pub(crate) async fn open_with(with: With<'_>) -> Self {
        install_crypto();
        let redis_url = match with.redis_url {
            Some(url) => url,
            None => redis_database().await,
        };
        let files = TempDir::new().unwrap();
        let service = start_echo().await;
        let mut variables = environment(files.path(), &redis_url, service, with.notification.unwrap_or(service));
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        variables.extend(with.variables.iter().map(|(name, value)| {
            let value = if *value == "http://nobody" { url(nobody) } else { (*value).to_owned() };
            ((*name).to_owned(), value)
        }));
        let settings: settings::Settings = config::load_from(settings::DEFAULTS, variables).unwrap();
        let bound = gateway::service(&settings, Clock::system()).await.unwrap().bind().await.unwrap();
        Self {
            address: bound.address().unwrap(),
            admin: bound.admin_address().unwrap(),
            shutdown: bound.shutdown(),
            serving: tokio::spawn(bound.serve()),
            http: reqwest::Client::builder().timeout(Duration::from_mins(2)).build().unwrap(),
            redis_url,
            _files: files,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(self.url(path))
    }

    pub(crate) async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

/// Two providers are linked into the tests, so one has to be chosen.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The URL of a database of the shared Redis that nobody else uses.
pub(crate) async fn redis_database() -> String {
    tokio::task::spawn_blocking(|| servers::Redis::shared().database()).await.unwrap()
}

/// A service that answers what it was asked.
pub(crate) async fn start_echo() -> SocketAddr {
    start_service(Router::new().fallback(echo)).await
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// What a gateway is told from outside, with its files in `folder`: `service` is behind every route but those of notifications.
pub(crate) fn environment(
    folder: &Path,
    redis_url: &str,
    service: SocketAddr,
    notification: SocketAddr,
) -> Vec<(String, String)> {
    write_jwks(folder).unwrap();
    fs::write(folder.join("redis-url"), redis_url).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    [
        ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__SETTLE_SECONDS", "0".to_owned()),
        ("REDIS__URL_FILE", file("redis-url")),
        ("TOKENS__JWKS_FILE", file("jwks.json")),
        ("TOKENS__ISSUER", ISSUER.to_owned()),
        ("UPSTREAMS__AUTH", url(service)),
        ("UPSTREAMS__CHAT", url(service)),
        ("UPSTREAMS__MEDIA", url(service)),
        ("UPSTREAMS__NOTIFICATION", url(notification)),
    ]
    .map(|(name, value)| (format!("CHATPLATFORM_{name}"), value))
    .into()
}

/// The status and the body of an answer that is JSON.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The status of an answer and the code of its problem, which it must be.
pub(crate) async fn problem(request: reqwest::RequestBuilder) -> (u16, String) {
    let (status, headers, body) = answer(request).await;
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{body}");
    assert_eq!(body["status"], status.as_u16());
    assert!(body["traceId"].as_str().is_some_and(|id| id.len() == 32), "{body}");
    (status.as_u16(), body["code"].as_str().unwrap().to_owned())
}

/// Waits until something has happened, and looks often.
pub(crate) async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !happened().await {
        assert!(Instant::now() < deadline, "it did not happen that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The value of a metric, labels included in its name.
pub(crate) async fn metric(world: &World, name: &str) -> Option<u64> {
    let text = world.http.get(format!("http://{}/metrics", world.admin)).send().await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

pub(crate) struct Token {
    pub(crate) session: SessionId,
    pub(crate) text: String,
}

/// A token as the auth service issues it.
pub(crate) fn token() -> Token {
    token_with(&["user"], 600)
}

pub(crate) fn token_with(roles: &[&str], seconds: i64) -> Token {
    let (user, session) = (UserId::generate(), SessionId::generate());
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "sub": user, "sid": session, "jti": SessionId::generate(), "iat": now - 700, "exp": now + seconds, "roles": roles,
    });
    Token { session, text: access_token(&claims) }
}

pub(crate) async fn start_service(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A service that answers what it was asked; some paths make it slow, large, rude, or a WebSocket.
async fn echo(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path.ends_with("/never") {
        return std::future::pending().await;
    }
    if path.ends_with("/slow") {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    if path.ends_with("/large") {
        let chunks =
            futures::stream::iter((0..LARGE / 65536).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 65536]))));
        return Body::from_stream(chunks).into_response();
    }
    if path.ends_with("/rude") {
        return (StatusCode::IM_A_TEAPOT, "plain words").into_response();
    }
    if request.headers().contains_key(header::UPGRADE) {
        return websocket_echo(request);
    }
    describe(request).await
}

async fn describe(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into()))
        .collect();
    let mut length = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => length += chunk.len(),
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
    }
    let seen = json!({
        "method": parts.method.as_str(), "target": parts.uri.to_string(), "headers": headers, "bodyLength": length,
    });
    (
        [(header::SERVER, "echo"), (header::CONNECTION, "x-hop"), (header::HeaderName::from_static("x-hop"), "1")],
        axum::Json(seen),
    )
        .into_response()
}

fn websocket_echo(mut request: Request) -> Response {
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.unwrap());
        let (sink, stream) = WebSocketStream::from_raw_socket(io, Role::Server, None).await.split();
        stream.take_while(|message| futures::future::ready(message.is_ok())).forward(sink).await
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()).parse().unwrap()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
