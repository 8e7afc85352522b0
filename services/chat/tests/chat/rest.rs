//! Messages over REST.

use reqwest::Method;
use serde_json::json;

use super::platform::{Person, Platform};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_answered_edited_pinned_and_deleted() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let first = replica.say(&ada, &conversation, "a question").await;
    let messages = format!("/conversations/{conversation}/messages");
    let (status, reply) = replica.post(&bob, &messages, json!({"text": "an answer", "replyTo": first["id"]})).await;
    assert_eq!((status, &reply["replyTo"], reply["seq"].as_u64()), (201, &first["id"], Some(2)));

    let at = format!("{messages}/{}", first["id"].as_str().unwrap());
    let (status, edited) = replica.call(&ada, Method::PATCH, &at, Some(json!({"text": "a better question"}))).await;
    assert_eq!(
        (status, edited["text"].as_str(), edited["changeSeq"].as_u64()),
        (200, Some("a better question"), Some(3))
    );
    assert_eq!(replica.call(&bob, Method::PATCH, &at, Some(json!({"text": "forged"}))).await.0, 403);

    let (status, pinned) = replica.call(&bob, Method::PUT, &format!("{at}/pin"), None).await;
    assert_eq!((status, pinned["pinnedBy"].as_str()), (200, Some(bob.id.to_string().as_str())));
    assert_eq!(replica.call(&ada, Method::DELETE, &format!("{at}/pin"), None).await.0, 204);
    let (status, reacted) = replica.call(&bob, Method::PUT, &format!("{at}/reactions/%F0%9F%91%8D"), None).await;
    assert_eq!((status, &reacted["reactions"]), (200, &json!({"👍": [bob.id]})));
    assert_eq!(replica.call(&bob, Method::DELETE, &format!("{at}/reactions/%F0%9F%91%8D"), None).await.0, 204);

    assert_eq!(replica.call(&ada, Method::DELETE, &at, None).await.0, 204);
    assert_eq!(replica.call(&ada, Method::DELETE, &at, None).await.0, 204);
    let (status, problem) = replica.call(&ada, Method::PATCH, &at, Some(json!({"text": "too late"}))).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("conflict")));
    let history = replica.history(&bob, &conversation).await;
    assert_eq!((history[0]["text"].as_str(), history[0]["deletedAt"].is_string()), (Some(""), true));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_oldest_change_first_and_page_by_page() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(replica.say(&ada, &conversation, &format!("{n}")).await);
    }
    let at = format!("/conversations/{conversation}/messages/{}", sent[1]["id"].as_str().unwrap());
    replica.call(&ada, Method::PATCH, &at, Some(json!({"text": "1 again"}))).await;
    let mut texts = Vec::new();
    let mut path = format!("/conversations/{conversation}/changes?after=1&limit=2");
    loop {
        let (_, page) = replica.get(&bob, &path).await;
        texts.extend(page["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/conversations/{conversation}/changes?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(texts, ["2", "3", "4", "1 again"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_serves_as_the_nonce_of_a_message_without_one() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let url = format!("{}/api/v1/conversations/{conversation}/messages", replica.url);
    let send = async |body: serde_json::Value| {
        let request = reqwest::Client::new().post(&url).bearer_auth(&ada.token).header("Idempotency-Key", "\"k\"");
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (status, first) = send(json!({"text": "once"})).await;
    assert_eq!((status, first["nonce"].as_str()), (201, Some("k")));
    let at_once = futures::future::join_all((0..4).map(|_| send(json!({"text": "once"})))).await;
    assert!(at_once.iter().all(|again| *again == (201, first.clone())), "{at_once:?}");
    for other in [json!({"text": "twice"}), json!({"text": "once", "replyTo": first["id"]})] {
        let (status, problem) = send(other).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("idempotency-key-reused")));
    }
    let with_a_nonce = send(json!({"text": "another", "nonce": "n"})).await;
    assert_eq!(with_a_nonce.0, 201, "a nonce of its own is what counts");
    assert_eq!(replica.history(&bob, &conversation).await.len(), 2);

    let path = format!("/conversations/{conversation}/messages/{}", first["id"].as_str().unwrap());
    replica.call(&ada, reqwest::Method::PATCH, &path, Some(json!({"text": "edited"}))).await;
    let (status, again) = send(json!({"text": "once"})).await;
    assert_eq!((status, again["text"].as_str()), (201, Some("edited")), "the message of then, as it is now");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_named_by_field() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let messages = format!("/conversations/{conversation}/messages");
    for (path, body, field) in [
        (messages.as_str(), json!({"text": ""}), "text"),
        (messages.as_str(), json!({"text": "x", "nonce": ""}), "nonce"),
        (messages.as_str(), json!({"text": "x", "replyTo": contract::id::MessageId::generate()}), "replyTo"),
        ("/conversations", json!({"type": "direct", "memberIds": []}), "memberIds"),
        ("/conversations", json!({"type": "group", "title": "two\nlines", "memberIds": []}), "title"),
    ] {
        let (status, problem) = replica.post(&ada, path, body).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("validation-failed")), "{problem}");
        assert_eq!(problem["errors"][0]["field"], field);
    }
    replica.stop().await;
}
