//! What the Engine.IO protocol asks of a server and the library does otherwise: the first ping of a session comes after its interval and not at
//! once, and a poll that its client gives up ends the session.
//!
//! The library pings as soon as a session is open. The Engine.IO protocol lets the first ping come `pingInterval` after the handshake, as Node's
//! server does, and a client may take one that comes before for a fault. So that first ping is answered here, before the client learns of its
//! session; the next one comes when it should. Of a session that begins with polling, by one poll and one post on the client's behalf; of one
//! that begins as a WebSocket, by [`Calm`], between the library and the connection.
//!
//! What a poll that was given up would have brought has left the session's queue, perhaps, and has not arrived. The client connects again and
//! resumes; its old session is closed on its behalf.
//!
//! Everything else passes untouched.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use futures::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::{Layer, Service, ServiceExt as _};

use super::calm::Calm;

/// Larger than the packet that opens a session.
const LARGEST_OPEN: usize = 4096;
const PING: &[u8] = b"2";
const PONG: &str = "3";
const CLOSE: &str = "1";
/// What the library says of a session that it does not know.
const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// Wraps the layer of the library.
#[derive(Clone, Debug)]
pub struct FirstPingLayer<L> {
    layer: L,
    path: &'static str,
    closing: Closing,
}

/// Wraps the service of the library.
#[derive(Clone, Debug)]
pub struct FirstPing<S> {
    service: S,
    path: &'static str,
    closing: Closing,
}

/// Sessions whose poll was given up and which the library does not know to be over yet.
#[derive(Clone, Debug, Default)]
struct Closing(Arc<Mutex<HashSet<String>>>);

impl Closing {
    fn with<R>(&self, work: impl FnOnce(&mut HashSet<String>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A WebSocket that has been accepted, and the request for it: what the library takes besides HTTP requests.
pub type Accepted = (Calm<TokioIo<Upgraded>>, Request<()>);

impl<L> FirstPingLayer<L> {
    /// Around a layer that answers at `path`, which has no slash at its end.
    #[must_use]
    pub fn new(layer: L, path: &'static str) -> Self {
        Self { layer, path, closing: Closing::default() }
    }
}

impl<L: Layer<S>, S> Layer<S> for FirstPingLayer<L> {
    type Service = FirstPing<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        FirstPing { service: self.layer.layer(inner), path: self.path, closing: self.closing.clone() }
    }
}

impl<S, B> Service<Request<Body>> for FirstPing<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Service<Accepted, Response = ()>,
    S: Clone + Send + Sync + 'static,
    <S as Service<Request<Body>>>::Future: Send + 'static,
    <S as Service<Accepted>>::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <S as Service<Request<Body>>>::poll_ready(&mut self.service, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match about(self.path, &request) {
            Some(Transport::WebSocket(key)) => {
                let response = accept(self.service.clone(), request, &key);
                Box::pin(async move { Ok(response) })
            }
            Some(Transport::Polling) => {
                let (service, path) = (self.service.clone(), self.path);
                let opening = <S as Service<Request<Body>>>::call(&mut self.service, request);
                Box::pin(async move { opened(service, path, opening.await?.map(Body::new)).await })
            }
            Some(Transport::Polled(session)) => {
                if self.closing.with(|closing| closing.contains(&session)) {
                    let mut over = Response::new(Body::from(UNKNOWN_SESSION));
                    *over.status_mut() = StatusCode::BAD_REQUEST;
                    return Box::pin(async move { Ok(over) });
                }
                let close = self.service.clone().oneshot(on_behalf(Method::POST, request.uri(), CLOSE));
                let given_up = GivenUp {
                    close: Some(Box::pin(async move {
                        let _ = close.await;
                    })),
                    closing: self.closing.clone(),
                    session,
                };
                let polling = <S as Service<Request<Body>>>::call(&mut self.service, request);
                Box::pin(async move {
                    let response = polling.await?.map(Body::new);
                    given_up.not_so();
                    Ok(response)
                })
            }
            None => {
                let answering = <S as Service<Request<Body>>>::call(&mut self.service, request);
                Box::pin(async move { Ok(answering.await?.map(Body::new)) })
            }
        }
    }
}

/// What a request is about.
enum Transport {
    /// It opens a session by polling.
    Polling,
    /// It polls in the session of this id.
    Polled(String),
    /// It opens a session as a WebSocket. With the client's key, of which the answer to the handshake is made (RFC 6455, section 4.2.2).
    WebSocket(HeaderValue),
}

/// What a request is about, if it concerns us. One that is faulty does not: the library says what is wrong with it.
fn about(path: &str, request: &Request<Body>) -> Option<Transport> {
    let rest = request.uri().path().strip_prefix(path)?;
    let mine = rest.is_empty() || rest.starts_with('/');
    if !mine || request.method() != Method::GET {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match (of("EIO"), of("sid"), of("transport")) {
        (Some("4"), None, Some("polling")) => Some(Transport::Polling),
        (Some("4"), Some(session), Some("polling")) => Some(Transport::Polled(session.to_owned())),
        (Some("4"), None, Some("websocket")) if is_upgrade(request.headers()) => {
            request.headers().get(header::SEC_WEBSOCKET_KEY).cloned().map(Transport::WebSocket)
        }
        _ => None,
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Accepts a WebSocket and hands it to the library.
fn accept<S>(service: S, mut request: Request<Body>, key: &HeaderValue) -> Response<Body>
where
    S: Service<Accepted, Response = ()> + Send + 'static,
    S::Future: Send,
{
    let upgrade = hyper::upgrade::on(&mut request);
    let request = request.map(|_| ());
    tokio::spawn(async move {
        match upgrade.await {
            // What it would refuse has been looked for before.
            Ok(connection) => {
                let _ = service.oneshot((Calm::new(TokioIo::new(connection)), request)).await;
            }
            Err(error) => tracing::debug!(error = error.to_string(), "a connection did not become a WebSocket"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accepted) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    response
}

/// Closes a session when dropped, which is when the poll for it is.
struct GivenUp {
    close: Option<BoxFuture<'static, ()>>,
    closing: Closing,
    session: String,
}

impl GivenUp {
    /// The poll was answered.
    fn not_so(mut self) {
        self.close = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        // Outside of a runtime the process is ending, and all sessions with it.
        if let (Some(close), Ok(runtime)) = (self.close.take(), tokio::runtime::Handle::try_current()) {
            let (closing, session) = (self.closing.clone(), std::mem::take(&mut self.session));
            closing.with(|closing| closing.insert(session.clone()));
            runtime.spawn(async move {
                close.await;
                closing.with(|closing| closing.remove(&session));
            });
        }
    }
}

fn on_behalf(method: Method, uri: &Uri, body: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    request
}

#[derive(Deserialize)]
struct Open {
    sid: String,
}

/// Answers the first ping of a session that has just been opened, then passes on that it is.
async fn opened<S, B>(service: S, path: &str, response: Response<Body>) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_OPEN).await else {
        return Ok(Response::from_parts(parts, Body::empty()));
    };
    let open = body.strip_prefix(b"0").and_then(|json| serde_json::from_slice::<Open>(json).ok());
    if let Some(Open { sid }) = open.filter(|_| parts.status == StatusCode::OK)
        && let Ok(uri) = format!("{path}/?EIO=4&transport=polling&sid={sid}").parse::<Uri>()
    {
        let polled = service.clone().oneshot(on_behalf(Method::GET, &uri, "")).await?.map(Body::new);
        let packets = axum::body::to_bytes(polled.into_body(), LARGEST_OPEN).await.unwrap_or_default();
        if packets == PING {
            service.oneshot(on_behalf(Method::POST, &uri, PONG)).await?;
        } else {
            tracing::error!(packets = packets.len(), "a session began with something else than a ping");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
