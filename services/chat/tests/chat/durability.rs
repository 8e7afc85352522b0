//! The end of the process, in order and out of order.

use serde_json::{Value, json};
use servers::Program;
use tempfile::TempDir;

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform, Replica, until_ready};

/// The service as a process of its own, with its files in `folder`.
pub(crate) async fn start(platform: &Platform, folder: &TempDir) -> Program {
    let program = Program::start("chat", folder.path(), env!("CARGO_BIN_EXE_chat"), platform.environment()).unwrap();
    until_ready(&program.admin_url()).await;
    program
}

fn texts(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

async fn everything_acknowledged_is_there(
    replica: &Replica,
    who: &Person,
    conversation: &str,
    acknowledged: &[String],
) {
    let history = replica.history(who, conversation).await;
    let seqs: Vec<u64> = history.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap and nothing twice");
    let stored = texts(&history);
    for text in acknowledged {
        assert!(stored.contains(text), "{text} was acknowledged and is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_conversation_it_has_lost_nothing_acknowledged() {
    let platform = Platform::new();
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&platform, &folder).await;
    let (ada, bob) = (Person::new(), Person::new());
    let client = Client::start();
    let socket = client.connect(&process.url(), &ada.token).await;
    let conversation: String = {
        let opened = reqwest::Client::new()
            .post(format!("{}/api/v1/conversations", process.url()))
            .bearer_auth(&ada.token)
            .json(&json!({"type": "direct", "memberIds": [bob.id]}))
            .send();
        let opened: Value = opened.await.unwrap().json().await.unwrap();
        opened["id"].as_str().unwrap().to_owned()
    };
    for n in 0..2_000 {
        let body = json!({"conversationId": conversation, "text": format!("message {n}"), "nonce": n.to_string()});
        socket.fire("message:send", json!([body])).await;
    }
    // What comes back to the sender has been stored; the rest is under way when the process dies.
    socket.wait_for("message:new", 50).await;
    process.kill().unwrap();
    socket.wait_for("disconnect", 1).await;
    let acknowledged = texts(&socket.received("message:new"));
    assert!((50..2_000).contains(&acknowledged.len()), "{}", acknowledged.len());

    let replica = platform.start().await;
    everything_acknowledged_is_there(&replica, &bob, &conversation, &acknowledged).await;
    // Sending all of it again, as a client does that knows not what arrived, completes it without repeating any.
    let again = client.connect(&replica.url, &ada.token).await;
    let bodies: Vec<Value> = (0..300)
        .map(|n| json!({"conversationId": conversation, "text": format!("message {n}"), "nonce": n.to_string()}))
        .collect();
    assert!(again.burst("message:send", bodies).await.iter().all(|(_, answer)| answer["ok"] == true));
    let mut stored = texts(&replica.history(&bob, &conversation).await);
    let count = stored.len();
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), count, "nothing twice");
    for n in 0..300 {
        assert!(stored.contains(&format!("message {n}")));
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_stores_and_acknowledges_what_it_has_been_sent() {
    let platform = Platform::new();
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&platform, &folder).await;
    let (ada, bob) = (Person::new(), Person::new());
    let replica = platform.start().await;
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let socket = client.connect(&process.url(), &ada.token).await;
    assert_eq!(socket.ask("resume", json!({"cursors": {}})).await["ok"], true);

    let secret = "swordfish";
    let bodies = (0..200)
        .map(|n| json!({"conversationId": conversation, "text": format!("{secret} {n}"), "nonce": n.to_string()}))
        .collect();
    let (answers, ()) = tokio::join!(socket.burst("message:send", bodies), async {
        socket.wait_for("message:new", 1).await;
        process.terminate().unwrap();
    });
    // Each has its answer: stored, or refused for another connection to take.
    let stored: Vec<String> = answers
        .iter()
        .filter(|(_, answer)| answer["ok"] == true)
        .map(|(_, answer)| answer["message"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(!stored.is_empty());
    let refused = answers.iter().filter(|(_, answer)| answer["ok"] == false);
    assert!(refused.map(|(_, answer)| answer["error"]["code"].as_str().unwrap()).all(|code| code == "unavailable"));
    // Not "io server disconnect": the client connects again by itself.
    assert_eq!(socket.wait_for("disconnect", 1).await, ["transport close"]);
    let status = process.wait(PATIENCE).unwrap();
    assert!(status.success());
    everything_acknowledged_is_there(&replica, &bob, &conversation, &stored).await;
    let log = process.log().unwrap();
    assert!(log.contains("\"level\":\"DEBUG\""), "it logged all it would");
    assert!(!log.contains(secret), "a log holds what was said");
    replica.stop().await;
}
