//! When the server pings: one interval after the handshake and no sooner, however a session begins.
//!
//! What the official protocol suites ask of a heartbeat, of the service itself; `tests/protocol.rs` runs the suites as a whole.

use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::client::PATIENCE;
use super::platform::{Platform, Replica};

const INTERVAL: Duration = Duration::from_secs(1);
/// The library counts from a moment before the client learns of its session, in steps of a millisecond.
const SLACK: Duration = Duration::from_millis(50);

async fn start() -> (Platform, Replica) {
    let mut platform = Platform::new();
    platform.ping_interval_seconds = INTERVAL.as_secs();
    let replica = platform.start().await;
    (platform, replica)
}

async fn text(response: reqwest::Response) -> String {
    response.text().await.unwrap()
}

/// Opens a session by polling and gives where to poll.
async fn open(replica: &Replica) -> String {
    let url = format!("{}/socket.io/?EIO=4&transport=polling", replica.url);
    let packet = text(reqwest::get(&url).await.unwrap()).await;
    let open: serde_json::Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
    assert_eq!(open["pingInterval"], 1_000);
    format!("{url}&sid={}", open["sid"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_is_pinged_after_each_interval_and_not_before_the_first_is_over() {
    let (_platform, replica) = start().await;
    let url = format!("{}/socket.io/?EIO=4&transport=websocket", replica.url.replace("http:", "ws:"));
    let began = Instant::now();
    let (mut socket, _) = connect_async(url).await.unwrap();
    let open = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(open.starts_with('0'), "{open}");
    for n in 1..=3 {
        let ping = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(ping.into_text().unwrap().as_str(), "2");
        assert!(began.elapsed() + SLACK >= INTERVAL * n, "ping {n} came after {:?}", began.elapsed());
        socket.send(Message::text("3")).await.unwrap();
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_is_pinged_after_each_interval_and_not_before_the_first_is_over() {
    let (_platform, replica) = start().await;
    let began = Instant::now();
    let url = open(&replica).await;
    for n in 1..=3 {
        assert_eq!(text(reqwest::get(&url).await.unwrap()).await, "2");
        assert!(began.elapsed() + SLACK >= INTERVAL * n, "ping {n} came after {:?}", began.elapsed());
        let pong = reqwest::Client::new().post(&url).body("3").send().await.unwrap();
        assert_eq!(text(pong).await, "ok");
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_becomes_a_web_socket_is_not_pinged_early_either() {
    let (_platform, replica) = start().await;
    let began = Instant::now();
    let url = open(&replica).await.replace("http:", "ws:").replace("transport=polling", "transport=websocket");
    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Message::text("2probe")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "3probe");
    socket.send(Message::text("5")).await.unwrap();
    let ping = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(ping.into_text().unwrap().as_str(), "2");
    assert!(began.elapsed() + SLACK >= INTERVAL, "it came after {:?}", began.elapsed());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_no_session_is_refused_as_before() {
    let (_platform, replica) = start().await;
    for query in [
        "",
        "?transport=polling",
        "?EIO=abc&transport=polling",
        "?EIO=4",
        "?EIO=4&transport=abc",
        "?EIO=4&transport=websocket",
    ] {
        let status = reqwest::get(format!("{}/socket.io/{query}", replica.url)).await.unwrap().status();
        assert_eq!(status, 400, "{query}");
    }
    let unknown = format!("{}/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", replica.url);
    assert_eq!(reqwest::get(unknown).await.unwrap().status(), 400);
    // Without a pong the session is over.
    let url = open(&replica).await;
    assert_eq!(text(reqwest::get(&url).await.unwrap()).await, "2");
    let ended = timeout(PATIENCE, reqwest::get(&url)).await.unwrap().unwrap();
    assert_ne!(text(ended).await, "2");
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 400);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_poll_is_given_up_is_closed() {
    let (_platform, replica) = start().await;
    let url = open(&replica).await;
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut polling = TcpStream::connect(host).await.unwrap();
    polling.write_all(format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    // A post is answered by the session as long as it is there.
    let post = async || reqwest::Client::new().post(&url).body("3").send().await.unwrap().status();
    assert_eq!(post().await, 200);
    drop(polling);
    // Before the session would end for want of a pong.
    let deadline = tokio::time::Instant::now() + INTERVAL * 3 / 2;
    while post().await == 200 {
        assert!(tokio::time::Instant::now() < deadline, "the session outlives its poll");
    }
    replica.stop().await;
}
