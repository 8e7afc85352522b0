//! What the test suites of the Engine.IO and Socket.IO protocols want of a server, on 127.0.0.1:3000: an echo at `/engine.io/` and
//! the namespaces `/` and `/custom` at `/socket.io/`, behind the same layer as the service's own sockets.
//!
//! The suites are in the repository socketio/socket.io, `docs/engine.io-protocol/v4-test-suite` and
//! `docs/socket.io-protocol/v5-test-suite`; no registry has them. To run one: `cargo run --example protocol_server`, and there
//! `npm ci && npm test`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use chat::realtime::FirstPingLayer;
use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::layer::EngineIoLayer;
use engineioxide::{DisconnectReason, Str};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};

const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_PAYLOAD: u64 = 1_000_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (layer, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .build_layer();
    io.ns("/", on_connect);
    io.ns("/custom", on_connect);
    let config = EngineIoConfig::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .build();
    let echo = EngineIoLayer::from_config(Arc::new(Echo), config);
    let router =
        Router::new().layer(FirstPingLayer::new(layer, "/socket.io")).layer(FirstPingLayer::new(echo, "/engine.io"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn on_connect(socket: SocketRef, TryData(auth): TryData<Value>) {
    // What a socket that is gone does not get is of no interest.
    let _ = socket.emit("auth", &auth.unwrap_or_else(|_| json!({})));
    socket.on("message", async |socket: SocketRef, Data::<Vec<Argument>>(arguments)| {
        let _ = socket.emit("message-back", &arguments);
    });
    socket.on("message-with-ack", async |Data::<Vec<Argument>>(arguments), ack: AckSender| {
        let _ = ack.send(&arguments);
    });
}

/// An argument of an event.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Argument {
    Binary(Binary),
    Json(Value),
}

/// Bytes, and nothing that could be read as bytes.
struct Binary(Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Alone;
        impl Visitor<'_> for Alone {
            type Value = Binary;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Alone)
    }
}

#[derive(Clone, Debug)]
struct Echo;

impl EngineIoHandler for Echo {
    type Data = ();

    fn on_connect(self: Arc<Self>, _: Arc<engineioxide::Socket<()>>) {}

    fn on_disconnect(&self, _: Arc<engineioxide::Socket<()>>, _: DisconnectReason) {}

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<engineioxide::Socket<()>>) {
        let _ = socket.emit(text);
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<engineioxide::Socket<()>>) {
        let _ = socket.emit_binary(bytes);
    }
}
