//! What is kept, and in what form.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use serde_json::json;

use super::client::Client;
use super::platform::{Person, Platform};

async fn raw_documents(platform: &Platform) -> Vec<(String, Vec<u8>)> {
    let database = platform.database().await;
    let mut all = Vec::new();
    for name in database.list_collection_names().await.unwrap() {
        let found = database.collection::<RawDocumentBuf>(&name).find(doc! {}).await.unwrap();
        let documents: Vec<RawDocumentBuf> = found.try_collect().await.unwrap();
        all.extend(documents.into_iter().map(|document| (name.clone(), document.into_bytes())));
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_documents_hold_no_plaintext() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    let secrets: Vec<String> = (0..20).map(|n| format!("the vault opens at {n} past midnight")).collect();
    let bodies = secrets.iter().map(|text| json!({"conversationId": conversation, "text": text, "nonce": text[..10]}));
    let bodies: Vec<_> = bodies
        .enumerate()
        .map(|(n, mut body)| {
            body["nonce"] = n.to_string().into();
            body
        })
        .collect();
    let sent = socket.burst("message:send", bodies).await;
    let id = &sent[0].1["message"]["id"];
    let edited = "the vault has been moved";
    socket.ask("message:edit", json!({"conversationId": conversation, "messageId": id, "text": edited})).await;

    let documents = raw_documents(&platform).await;
    assert_eq!(documents.iter().filter(|(collection, _)| collection == "messages").count(), 20);
    for (collection, bytes) in &documents {
        for text in secrets.iter().map(String::as_str).chain([edited, "vault"]) {
            assert!(!holds(bytes, text), "{collection} holds {text:?}");
        }
    }
    // The look would find it: ids stand there in the clear.
    assert!(documents.iter().any(|(_, bytes)| holds(bytes, id.as_str().unwrap())));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_moved_to_another_message_is_not_shown() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let kind = replica.say(&ada, &conversation, "I agree").await;
    let unkind = replica.say(&ada, &conversation, "I refuse").await;
    let messages = platform.database().await.collection::<Document>("messages");
    let of = |message: &serde_json::Value| doc! {"_id": message["id"].as_str().unwrap()};
    let stolen = messages.find_one(of(&kind)).await.unwrap().unwrap().get("content").unwrap().clone();
    messages.update_one(of(&unkind), doc! {"$set": {"content": stolen}}).await.unwrap();
    let (status, problem) = replica.get(&bob, &format!("/conversations/{conversation}/messages")).await;
    assert_eq!((status, problem["code"].as_str()), (500, Some("internal")));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_text_put_back_in_the_place_of_an_edited_one_is_not_shown() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let message = replica.say(&ada, &conversation, "I agree").await;
    let id = message["id"].as_str().unwrap();
    let messages = platform.database().await.collection::<Document>("messages");
    let content = async || messages.find_one(doc! {"_id": id}).await.unwrap().unwrap().get("content").unwrap().clone();
    let first = content().await;
    let at = format!("/conversations/{conversation}/messages/{id}");
    let edit = Some(json!({"text": "I refuse"}));
    assert_eq!(replica.call(&ada, reqwest::Method::PATCH, &at, edit).await.0, 200);
    let second = content().await;
    messages.update_one(doc! {"_id": id}, doc! {"$set": {"content": first}}).await.unwrap();
    assert_eq!(replica.get(&bob, &at).await.0, 500);
    messages.update_one(doc! {"_id": id}, doc! {"$set": {"content": second}}).await.unwrap();
    assert_eq!(replica.get(&bob, &at).await.1["text"], "I refuse");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_keys_of_quiet_conversations_are_wrapped_anew_in_the_background_and_counted() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    replica.say(&ada, &group, "quiet from here on").await;
    for _ in 0..4 {
        replica.direct(&ada, &Person::new()).await;
    }
    assert_eq!(replica.message_keys().await["accepted"], json!(["mk-1"]));
    platform.write_message_keys("mk-2", &[("mk-1", 1), ("mk-2", 2)]);
    let conversations = platform.database().await.collection::<Document>("conversations");
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    while conversations.count_documents(doc! {"dataKey.keyId": "mk-2"}).await.unwrap() < 5 {
        assert!(std::time::Instant::now() < deadline, "data keys are still wrapped by the old key");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    while replica.metric("chat_data_keys_rewrapped_total").await < 5 {
        assert!(std::time::Instant::now() < deadline, "they are not counted");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(replica.metric("chat_data_keys_to_rewrap").await, 0);
    let told = replica.message_keys().await;
    assert_eq!((&told["current"], &told["accepted"]), (&json!("mk-2"), &json!(["mk-1", "mk-2"])));
    // While the old key is there it is counted again and again, so that whoever takes it away can be sure.
    let fresh = async || replica.message_keys().await["stored"]["secondsAgo"].as_u64().unwrap() <= 2;
    for _ in 0..2 {
        while fresh().await {
            assert!(std::time::Instant::now() < deadline, "a count never grows old");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        while !fresh().await {
            assert!(std::time::Instant::now() < deadline, "data keys are not counted again");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert_eq!(replica.message_keys().await["stored"]["counts"], json!({}));
    replica.stop().await;
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    // A ring that lost a key before its time: what it wrapped is left as it is, and told of.
    platform.write_message_keys("mk-3", &[("mk-3", 3)]);
    let replica = platform.start().await;
    while replica.metric("chat_data_keys_lost_total").await < 5 {
        assert!(std::time::Instant::now() < deadline, "nobody is told");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(conversations.count_documents(doc! {"dataKey.keyId": "mk-2"}).await.unwrap(), 5);
    assert_eq!(replica.message_keys().await["stored"]["counts"], json!({"mk-2": 5}));
    assert_eq!(replica.get(&bob, &format!("/conversations/{group}/messages")).await.0, 500);
    // The key that came back opens everything again.
    platform.write_message_keys("mk-3", &[("mk-2", 2), ("mk-3", 3)]);
    while conversations.count_documents(doc! {"dataKey.keyId": "mk-3"}).await.unwrap() < 5 {
        assert!(std::time::Instant::now() < deadline, "the key that came back is not used");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(replica.history(&bob, &group).await[0]["text"], "quiet from here on");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_encryption_keys_rotate_without_a_restart_and_old_messages_stay_readable() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    replica.say(&ada, &conversation, "before").await;
    let conversations = platform.database().await.collection::<Document>("conversations");
    let wrapped_by = async || {
        let found = conversations.find_one(doc! {"_id": &conversation}).await.unwrap().unwrap();
        found.get_document("dataKey").unwrap().get_str("keyId").unwrap().to_owned()
    };
    assert_eq!(wrapped_by().await, "mk-1");

    platform.write_message_keys("mk-2", &[("mk-1", 1), ("mk-2", 2)]);
    let deadline = std::time::Instant::now() + super::client::PATIENCE;
    let mut count = 1;
    while wrapped_by().await != "mk-2" {
        assert!(std::time::Instant::now() < deadline, "the data key is still wrapped by the old key");
        replica.say(&ada, &conversation, "meanwhile").await;
        count += 1;
    }
    replica.stop().await;
    // A fresh process that has never seen the old key reads everything.
    platform.write_message_keys("mk-2", &[("mk-2", 2)]);
    let replica = platform.start().await;
    let history = replica.history(&bob, &conversation).await;
    assert_eq!(history.len(), count);
    assert_eq!(history[0]["text"], "before");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_cannot_be_read_from_what_is_left_of_it() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    replica.say(&ada, &group, "gone soon").await;
    let (status, _) = replica.call(&ada, reqwest::Method::DELETE, &format!("/conversations/{group}"), None).await;
    assert_eq!(status, 204);
    assert_eq!(replica.get(&ada, &format!("/conversations/{group}/messages")).await.0, 404);
    let conversations = platform.database().await.collection::<Document>("conversations");
    let left = conversations.find_one(doc! {"_id": &group}).await.unwrap().unwrap();
    assert!(!left.contains_key("dataKey") && !left.contains_key("title"));
    replica.stop().await;
}
