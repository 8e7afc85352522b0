//! Clients that read too slowly or send too quickly.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform};

/// A socket that reads only when told to, speaking the protocol by hand: Engine.IO 4, Socket.IO 5.
struct Sluggard(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Sluggard {
    async fn connect(url: &str, token: &str) -> Self {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", url.replace("http:", "ws:"));
        let mut this = Self(connect_async(url).await.unwrap().0);
        assert!(this.packet().await.unwrap().starts_with('0'));
        this.0.send(Message::text(format!("40{}", json!({"token": token})))).await.unwrap();
        while !this.packet().await.unwrap().starts_with("40") {}
        this
    }

    /// The next packet; none once the server has ended the connection.
    async fn packet(&mut self) -> Option<String> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a packet or the end") {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    if self.0.send(Message::text("3")).await.is_err() {
                        return None;
                    }
                }
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads on until it is disconnected; gives the numbers of the new messages it saw.
    async fn catch_up(mut self) -> Vec<u64> {
        let mut seqs = Vec::new();
        while let Some(packet) = self.packet().await {
            if packet == "41" {
                break;
            }
            if let Some(event) = packet.strip_prefix("42") {
                let event: Value = serde_json::from_str(event).unwrap();
                if event[0] == "message:new" {
                    seqs.push(event[1]["seq"].as_u64().unwrap());
                }
            }
        }
        seqs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_too_slow_is_disconnected_and_loses_nothing() {
    let mut platform = Platform::new();
    let quick = platform.start().await;
    platform.buffered_packets = 64;
    let strict = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = quick.direct(&ada, &bob).await;
    let client = Client::start();
    let sender = client.connect(&quick.url, &ada.token).await;
    let sluggard = Sluggard::connect(&strict.url, &bob.token).await;

    // More than the kernel's buffers and the service's together hold.
    let text = "long ".repeat(1_600);
    let mut sent = 0;
    while strict.metric("chat_slow_sockets_total").await == 0 {
        assert!(sent < 6_000, "nothing holds that much");
        let bodies = (sent..sent + 200)
            .map(|n| json!({"conversationId": conversation, "text": text, "nonce": n.to_string()}))
            .collect();
        assert!(sender.burst("message:send", bodies).await.iter().all(|(_, answer)| answer["ok"] == true));
        sent += 200;
    }
    let seen = sluggard.catch_up().await;
    let last = *seen.last().unwrap();
    assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "what it saw has no gap, so its cursor is right");
    assert!(last < sent);

    let again = client.connect(&strict.url, &bob.token).await;
    let mut cursor = last;
    while cursor < sent {
        let resumed = again.ask("resume", json!({"cursors": {&conversation: cursor}})).await;
        for message in resumed["changes"][&conversation].as_array().unwrap() {
            cursor += 1;
            assert_eq!(message["seq"].as_u64(), Some(cursor));
        }
    }
    quick.stop().await;
    strict.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_without_end_is_refused_and_told_so() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    let text = "x".repeat(8_000);
    let bodies =
        (0..2_000).map(|n| json!({"conversationId": conversation, "text": text, "nonce": n.to_string()})).collect();
    let answers = socket.burst("message:send", bodies).await;
    assert_eq!(answers.len(), 2_000, "each is answered");
    let (stored, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer["ok"] == true);
    assert!(stored.len() > 300 && !refused.is_empty(), "{} stored, {} refused", stored.len(), refused.len());
    assert!(refused.iter().all(|(_, answer)| answer["error"]["code"] == "rate-limited"));
    assert_eq!(replica.history(&bob, &conversation).await.len(), stored.len());
    replica.stop().await;
}
