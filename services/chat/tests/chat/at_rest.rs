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
