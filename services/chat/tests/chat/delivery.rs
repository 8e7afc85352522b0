//! What is sent arrives: complete, in order, once, also for who was away.

use serde_json::{Value, json};

use super::client::Client;
use super::platform::{Person, Platform};

fn numbered(conversation: &str, numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers
        .map(|n| json!({"conversationId": conversation, "text": format!("message {n}"), "nonce": format!("n-{n}")}))
        .collect()
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["text"].as_str().unwrap()).collect()
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_messages_emitted_without_waiting_arrive_complete_and_in_order() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let sender = client.connect(&replica.url, &ada.token).await;
    let reader = client.connect(&replica.url, &bob.token).await;

    let began = std::time::Instant::now();
    let answers = sender.burst("message:send", numbered(&conversation, 0..300)).await;
    let took = began.elapsed();

    let expected: Vec<String> = (0..300).map(|n| format!("message {n}")).collect();
    let places: Vec<usize> = answers.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (0..300).collect::<Vec<_>>(), "acknowledged in order");
    assert!(answers.iter().all(|(_, answer)| answer["ok"] == true));
    let received = reader.wait_for("message:new", 300).await;
    assert_eq!(texts(&received), expected);
    assert_eq!(seqs(&received), (1..=300).collect::<Vec<_>>());
    assert_eq!(texts(&replica.history(&bob, &conversation).await), expected);
    // REST and both directions of Socket.IO show the very same message.
    let (_, last) = answers.last().unwrap();
    assert_eq!(received.last(), Some(&last["message"]));
    assert_eq!(replica.history(&ada, &conversation).await.last(), received.last());
    assert!(took.as_secs() < 10, "took {took:?}");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_nonce_gives_one_message_however_it_is_sent_again() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let sender = client.connect(&replica.url, &ada.token).await;

    let message = json!({"conversationId": conversation, "text": "once", "nonce": "n"});
    let together = sender.burst("message:send", vec![message.clone(), message.clone()]).await;
    let later = sender.ask("message:send", message).await;
    let path = format!("/conversations/{conversation}/messages");
    let (_, by_rest) = replica.post(&ada, &path, json!({"text": "other words", "nonce": "n"})).await;

    let original = &together[0].1["message"];
    assert_eq!(&together[1].1["message"], original);
    assert_eq!(&later["message"], original);
    assert_eq!(&by_rest, original);
    assert_eq!(replica.history(&bob, &conversation).await.len(), 1);
    // Bob's nonces are his own.
    let (status, of_bob) = replica.post(&bob, &path, json!({"text": "mine", "nonce": "n"})).await;
    assert_eq!((status, of_bob["seq"].as_u64()), (201, Some(2)));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_everything_they_missed_by_resuming() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let sender = client.connect(&replica.url, &ada.token).await;
    let reader = client.connect(&replica.url, &bob.token).await;
    sender.burst("message:send", numbered(&conversation, 0..5)).await;
    reader.wait_for("message:new", 5).await;

    reader.disconnect().await;
    sender.burst("message:send", numbered(&conversation, 5..25)).await;
    let first = replica.history(&bob, &conversation).await[0].clone();
    let edit = json!({"conversationId": conversation, "messageId": first["id"], "text": "changed meanwhile"});
    assert_eq!(sender.ask("message:edit", edit).await["ok"], true);
    reader.reconnect().await.unwrap();
    let resumed = reader.ask("resume", json!({"cursors": {&conversation: 5}})).await;

    assert_eq!(resumed["ok"], true);
    assert_eq!(resumed["more"], json!([]));
    let changes = resumed["changes"][&conversation].as_array().unwrap();
    let mut expected: Vec<String> = (5..25).map(|n| format!("message {n}")).collect();
    expected.push("changed meanwhile".into());
    assert_eq!(texts(changes), expected);
    let last = changes.last().unwrap();
    assert_eq!((last["seq"].as_u64(), last["changeSeq"].as_u64()), (Some(1), Some(26)));
    let (_, by_rest) = replica.get(&bob, &format!("/conversations/{conversation}/changes?after=5")).await;
    assert_eq!(by_rest["items"], resumed["changes"][&conversation]);
    // Live again: the next message comes by itself, and only that one.
    sender.burst("message:send", numbered(&conversation, 25..26)).await;
    let received = reader.wait_for("message:new", 6).await;
    assert_eq!(texts(&received[5..]), ["message 25"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_answer_holds_is_resumed_in_several() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    socket.burst("message:send", numbered(&conversation, 0..250)).await;

    let mut cursor = 0;
    let mut all = Vec::new();
    loop {
        let resumed = socket.ask("resume", json!({"cursors": {&conversation: cursor}})).await;
        let changes = resumed["changes"][&conversation].as_array().unwrap().clone();
        cursor = changes.last().unwrap()["changeSeq"].as_u64().unwrap();
        all.extend(changes);
        if resumed["more"] == json!([]) {
            break;
        }
        assert_eq!(resumed["more"], json!([conversation]));
    }
    assert_eq!(seqs(&all), (1..=250).collect::<Vec<_>>());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_reach_everybody_live() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let author = client.connect(&replica.url, &ada.token).await;
    let other = client.connect(&replica.url, &bob.token).await;
    let sent = author.ask("message:send", json!({"conversationId": conversation, "text": "first", "nonce": "1"})).await;
    let at = json!({"conversationId": conversation, "messageId": sent["message"]["id"]});
    let with = |key: &str, value: &str| {
        let mut body = at.clone();
        body[key] = value.into();
        body
    };

    assert_eq!(author.ask("message:edit", with("text", "second")).await["message"]["text"], "second");
    let edited = other.wait_for("message:updated", 1).await.remove(0);
    assert_eq!(
        (edited["text"].as_str(), edited["seq"].as_u64(), edited["changeSeq"].as_u64()),
        (Some("second"), Some(1), Some(2))
    );
    assert!(edited["editedAt"].is_string());

    let reacted = other.ask("reaction:add", with("emoji", "👍")).await;
    assert_eq!(reacted["message"]["reactions"], json!({"👍": [bob.id]}));
    assert_eq!(author.wait_for("message:updated", 2).await[1], reacted["message"]);
    assert_eq!(
        other.ask("reaction:add", with("emoji", "👍")).await["message"]["changeSeq"],
        3,
        "twice changes nothing"
    );
    assert_eq!(other.ask("reaction:remove", with("emoji", "👍")).await["message"]["reactions"], json!({}));

    let refused = other.ask("message:delete", at.clone()).await;
    assert_eq!((refused["ok"].as_bool(), refused["error"]["code"].as_str()), (Some(false), Some("forbidden")));
    let deleted = author.ask("message:delete", at.clone()).await;
    assert_eq!((deleted["message"]["text"].as_str(), deleted["message"]["deletedAt"].is_string()), (Some(""), true));
    let told = other.wait_for("message:deleted", 1).await.remove(0);
    assert_eq!(told, json!({"conversationId": conversation, "id": sent["message"]["id"], "seq": 1, "changeSeq": 5}));

    assert_eq!(other.ask("conversation:read", json!({"conversationId": conversation, "seq": 1})).await["seq"], 1);
    let read = author.wait_for("conversation:read", 1).await.remove(0);
    assert_eq!(read, json!({"conversationId": conversation, "userId": bob.id, "seq": 1}));

    assert_eq!(other.ask("typing", json!({"conversationId": conversation, "active": true})).await, json!({"ok": true}));
    let typing = author.wait_for("typing", 1).await.remove(0);
    assert_eq!(typing, json!({"conversationId": conversation, "userId": bob.id, "active": true}));
    assert!(other.received("typing").is_empty(), "who types knows");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_see_one_another_come_and_go() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    replica.direct(&ada, &bob).await;
    let client = Client::start();
    let here = client.connect(&replica.url, &ada.token).await;
    let first = client.connect(&replica.url, &bob.token).await;
    let (came, went) = (json!({"userId": bob.id, "online": true}), json!({"userId": bob.id, "online": false}));
    here.wait_until("presence", |told| *told == came).await;
    first.wait_until("presence", |told| *told == json!({"userId": ada.id, "online": true})).await;
    // A second socket of Bob's is no news, and neither is its end.
    let second = client.connect(&replica.url, &bob.token).await;
    second.disconnect().await;
    let so_far = here.received("presence");
    assert!(!so_far.contains(&went));
    first.disconnect().await;
    here.wait_until("presence", |told| *told == went).await;
    assert_eq!(here.received("presence").len(), so_far.len() + 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_back_within_seconds_has_not_been_away() {
    let platform = Platform::new();
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    one.direct(&ada, &bob).await;
    let client = Client::start();
    let here = client.connect(&one.url, &ada.token).await;
    let (came, went) = (json!({"userId": bob.id, "online": true}), json!({"userId": bob.id, "online": false}));
    let first = client.connect(&one.url, &bob.token).await;
    here.wait_until("presence", |told| *told == came).await;
    // As when his replica stops: to another one, at once.
    first.disconnect().await;
    let second = client.connect(&two.url, &bob.token).await;
    second.disconnect().await;
    here.wait_until("presence", |told| *told == went).await;
    assert_eq!(here.received("presence"), [came, went]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_alone_carries_everything_too() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let polling = json!({"transports": ["polling"]});
    let sender = client.try_connect(&replica.url, &ada.token, polling.clone()).await.unwrap();
    let receiver = client.try_connect(&replica.url, &bob.token, polling).await.unwrap();
    let answers = sender.burst("message:send", numbered(&conversation, 0..100)).await;
    assert!(answers.iter().all(|(_, answer)| answer["ok"] == true));
    assert_eq!(seqs(&receiver.wait_for("message:new", 100).await), (1..=100).collect::<Vec<_>>());
    replica.stop().await;
}
