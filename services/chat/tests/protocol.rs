//! The official test suites of the Engine.IO and Socket.IO protocols, against a server behind the same layer as the service's own sockets.
//!
//! The suites are in the repository socketio/socket.io, which no package registry has, so this runs only where a checkout of it is named:
//! `CHAT_PROTOCOL_SUITES=<checkout> cargo test -p chat --test protocol -- --ignored`. They want a server on port 3000 with an echo at
//! `/engine.io/` and the namespaces `/` and `/custom` at `/socket.io/`. What they say of heartbeats is tried of the service itself, and always, in
//! `tests/chat/first_ping.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use chat::realtime::FirstPingLayer;
use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::layer::EngineIoLayer;
use engineioxide::{DisconnectReason, Str};
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};

const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_PAYLOAD: u64 = 1_000_000;

/// Folders of the suites in the checkout.
const SUITES: [&str; 2] = ["docs/engine.io-protocol/v4-test-suite", "docs/socket.io-protocol/v5-test-suite"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a checkout of socketio/socket.io, named by CHAT_PROTOCOL_SUITES"]
async fn the_official_protocol_suites_pass() {
    let checkout = PathBuf::from(std::env::var_os("CHAT_PROTOCOL_SUITES").unwrap());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, server()).await });
    let mut failed = Vec::new();
    for suite in SUITES {
        let folder = checkout.join(suite);
        let ran = tokio::task::spawn_blocking(move || {
            if !folder.join("node_modules").exists() {
                npm(&folder, &["ci", "--no-audit", "--no-fund"]);
            }
            npm(&folder, &["test"])
        });
        if !ran.await.unwrap() {
            failed.push(suite);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn npm(folder: &Path, arguments: &[&str]) -> bool {
    Command::new("npm").args(arguments).current_dir(folder).status().unwrap().success()
}

fn server() -> Router {
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
    Router::new().layer(FirstPingLayer::new(layer, "/socket.io")).layer(FirstPingLayer::new(echo, "/engine.io"))
}

async fn on_connect(socket: SocketRef, TryData(auth): TryData<Value>) {
    // What a socket that is gone does not get is of no interest.
    let _ = socket.emit("auth", &auth.unwrap_or_else(|_| json!({})));
    socket.on("message", async |socket: SocketRef, Data::<Arguments>(arguments)| {
        let _ = socket.emit("message-back", &arguments);
    });
    socket.on("message-with-ack", async |Data::<Arguments>(arguments), ack: AckSender| {
        let _ = ack.send(&arguments);
    });
}

/// All arguments of an event, however many: what looks like a tuple to the library.
struct Arguments(Vec<Argument>);

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut arguments = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            arguments.serialize_element(argument)?;
        }
        arguments.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Arguments;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = sequence.next_element()? {
                    arguments.push(argument);
                }
                Ok(Arguments(arguments))
            }
        }
        deserializer.deserialize_tuple_struct("Arguments", 0, All)
    }
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
