//! Sockets before several pods: whatever goes by polling finds the pod that has its session, with nothing but the session's id.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use axum::Router;
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    names::{Names, Pod, free_address, free_port},
    world::{SOON, With, World, metric, until},
};

const PODS: &str = "chat-headless.test";
/// Starting Node and connecting twice over may take long on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

struct Chat {
    names: Names,
    port: u16,
    pods: Vec<Pod>,
    first: World,
    second: World,
}

impl Chat {
    /// Two pods behind two gateways, which know nothing of one another.
    async fn open() -> Self {
        let (names, port) = (Names::start().await, free_port());
        let (service, pods) = (format!("http://chat.test:{port}"), format!("http://{PODS}:{port}"));
        let server = names.address.to_string();
        let variables = [
            ("CHATPLATFORM_UPSTREAMS__CHAT", service.as_str()),
            ("CHATPLATFORM_ENDPOINTS__CHAT", &pods),
            ("CHATPLATFORM_DISCOVERY__SERVERS", &server),
            ("CHATPLATFORM_DISCOVERY__REFRESH_MILLISECONDS", "50"),
        ];
        let first = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
        let redis_url = Some(first.redis_url.clone());
        let second = World::open_with(With { redis_url, notification: None, variables: &variables }).await;
        let mut chat = Self { names, port, pods: Vec::new(), first, second };
        chat.pods = vec![chat.pod().await, chat.pod().await];
        chat.lead_to_all().await;
        chat
    }

    async fn pod(&self) -> Pod {
        let address = free_address();
        Pod::start(address, self.port, 1, sockets_of(address.to_string())).await
    }

    async fn lead_to_all(&self) {
        let addresses: Vec<_> = self.pods.iter().map(|pod| pod.address).collect();
        self.names.set(PODS, &addresses);
        for world in [&self.first, &self.second] {
            until("the gateway knows the pods", async || {
                metric(world, r#"gateway_upstream_endpoints{upstream="chat"}"#).await == Some(addresses.len() as u64)
            })
            .await;
        }
    }

    fn all(&self) -> BTreeSet<String> {
        self.pods.iter().map(|pod| pod.address.to_string()).collect()
    }
}

/// A server of Socket.IO that says who it is.
fn sockets_of(name: String) -> Router {
    let (layer, io) = SocketIo::builder().req_path("/socket.io").ping_interval(Duration::from_secs(2)).build_layer();
    io.ns("/", move |socket: SocketRef| {
        socket.on("where", move |ack: AckSender| {
            let _ = ack.send(&name);
            std::future::ready(())
        });
        std::future::ready(())
    });
    Router::new().layer(layer)
}

/// The official client with sockets of its own.
struct Client {
    _process: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(world: &World, transports: &str, sockets: u8) -> Self {
        let mut process = Command::new("node")
            .arg(installed().join("sockets.mjs"))
            .args([&format!("http://{}", world.address), transports, &sockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { _process: process, orders, lines: BufReader::new(answers).lines() }
    }

    /// What each socket was answered, four times, and the transports that they have.
    async fn ask(&mut self) -> (Vec<BTreeSet<String>>, Vec<String>) {
        self.orders.write_all(b"ask\n").await.unwrap();
        let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        (
            serde_json::from_value(told["answers"].clone()).unwrap(),
            serde_json::from_value(told["transports"].clone()).unwrap(),
        )
    }
}

/// The folder into which the client was installed, once for this version of the chat service's lock file.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client");
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chat/tests/client");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gateway-test-client");
        std::fs::create_dir_all(&folder).unwrap();
        for (from, name) in [(&tests, "sockets.mjs"), (&packages, "package.json"), (&packages, "package-lock.json")] {
            std::fs::copy(from.join(name), folder.join(name)).unwrap();
        }
        let lock = std::fs::read(packages.join("package-lock.json")).unwrap();
        let marker = folder.join("node_modules/.installed");
        if std::fs::read(&marker).ok().as_ref() != Some(&lock) {
            let npm =
                std::process::Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
            let npm = npm.unwrap();
            assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
            std::fs::write(marker, lock).unwrap();
        }
        folder
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_polls_at_the_pod_that_has_its_session_and_moves_on_when_that_goes() {
    let mut chat = Chat::open().await;
    let mut client = Client::start(&chat.first, "polling", 12);
    let (answers, transports) = client.ask().await;
    assert!(transports.iter().all(|transport| transport == "polling"), "{transports:?}");
    assert!(answers.iter().all(|pods| pods.len() == 1), "{answers:?}");
    assert_eq!(answers.into_iter().flatten().collect::<BTreeSet<_>>(), chat.all());

    let gone = chat.pods.remove(0);
    chat.pods.push(chat.pod().await);
    chat.lead_to_all().await;
    gone.stop().await;
    let (answers, _) = client.ask().await;
    assert!(answers.iter().all(|pods| pods.len() == 1), "{answers:?}");
    assert!(answers.into_iter().flatten().collect::<BTreeSet<_>>().is_subset(&chat.all()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_upgrades_its_session_where_that_is() {
    let chat = Chat::open().await;
    let mut client = Client::start(&chat.first, "polling,websocket", 8);
    until("all have upgraded", async || {
        let (answers, transports) = client.ask().await;
        assert!(answers.iter().all(|pods| pods.len() == 1), "{answers:?}");
        transports.iter().all(|transport| transport == "websocket")
    })
    .await;
    assert_eq!(metric(&chat.first, "gateway_tunnels_open").await, Some(8));
}

#[tokio::test]
async fn a_session_is_found_through_whichever_gateway_by_its_id_alone() {
    let chat = Chat::open().await;
    for _ in 0..10 {
        let open = chat.first.get("/socket.io/?EIO=4&transport=polling").send().await.unwrap();
        assert_eq!(open.status(), StatusCode::OK);
        let text = open.text().await.unwrap();
        let handshake: Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        let sid = handshake["sid"].as_str().unwrap();
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        for world in [&chat.second, &chat.first] {
            // Connect to the namespace, again and again: to another pod, each would be a session unknown.
            let sent = world.post(&path).body("40").send().await.unwrap();
            assert_eq!((sent.status(), sent.text().await.unwrap().as_str()), (StatusCode::OK, "ok"));
        }
        let polled = chat.second.get(&path).send().await.unwrap();
        assert_eq!(polled.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_session_of_a_pod_that_is_gone_is_unknown_which_tells_the_client_to_open_another() {
    let mut chat = Chat::open().await;
    let mut sids = Vec::new();
    for _ in 0..10 {
        let text = chat.first.get("/socket.io/?EIO=4&transport=polling").send().await.unwrap().text().await.unwrap();
        let handshake: Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        sids.push(handshake["sid"].as_str().unwrap().to_owned());
    }
    chat.pods.pop().unwrap().stop().await;
    chat.lead_to_all().await;
    let mut unknown = 0;
    for sid in sids {
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let sent = chat.first.post(&path).body("40").send().await.unwrap();
        let (status, text) = (sent.status(), sent.text().await.unwrap());
        assert!(status == StatusCode::OK || (status == StatusCode::BAD_REQUEST && text.contains("Session ID unknown")));
        unknown += u32::from(status == StatusCode::BAD_REQUEST);
    }
    assert!((1..10).contains(&unknown), "{unknown} of 10 were unknown");
}

#[tokio::test]
async fn a_websocket_needs_no_session_before_it() {
    let chat = Chat::open().await;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", chat.first.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let opened = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(opened.into_text().unwrap().starts_with("0{"));
    socket.send(Message::text("40")).await.unwrap();
    until("the namespace is connected", async || {
        let message = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
        message.into_text().unwrap().starts_with("40")
    })
    .await;
}
