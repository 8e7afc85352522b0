//! Who is let in, who is not, and who no longer.

use serde_json::{Value, json};

use super::client::Client;
use super::platform::{Person, Platform};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_in_rest_and_socket() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, eve) = (Person::new(), Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let message = replica.say(&ada, &conversation, "between us").await;
    let id = message["id"].as_str().unwrap();

    let here = format!("/conversations/{conversation}");
    for path in [here.clone(), format!("{here}/messages"), format!("{here}/changes?after=0")] {
        let (status, body) = replica.get(&eve, &path).await;
        assert_eq!((status, body["code"].as_str()), (404, Some("not-found")), "{path}");
    }
    for (method, path, body) in [
        ("POST", format!("{here}/messages"), json!({"text": "let me in"})),
        ("PATCH", format!("{here}/messages/{id}"), json!({"text": "forged"})),
        ("DELETE", format!("{here}/messages/{id}"), Value::Null),
        ("PUT", format!("{here}/messages/{id}/reactions/x"), Value::Null),
        ("PUT", format!("{here}/messages/{id}/pin"), Value::Null),
        ("PUT", format!("{here}/read"), json!({"seq": 1})),
        ("POST", format!("{here}/members"), json!({"userIds": [eve.id]})),
        ("DELETE", format!("{here}/members/{}", ada.id), Value::Null),
    ] {
        let body = Some(body).filter(|body| !body.is_null());
        let (status, problem) = replica.call(&eve, method.parse().unwrap(), &path, body).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not-found")), "{method} {path}");
    }

    let client = Client::start();
    let socket = client.connect(&replica.url, &eve.token).await;
    for (event, body) in [
        ("message:send", json!({"conversationId": conversation, "text": "let me in", "nonce": "n"})),
        ("message:edit", json!({"conversationId": conversation, "messageId": id, "text": "forged"})),
        ("message:delete", json!({"conversationId": conversation, "messageId": id})),
        ("reaction:add", json!({"conversationId": conversation, "messageId": id, "emoji": "x"})),
        ("conversation:read", json!({"conversationId": conversation, "seq": 1})),
        ("typing", json!({"conversationId": conversation, "active": true})),
    ] {
        let answer = socket.ask(event, body).await;
        assert_eq!(
            (answer["ok"].as_bool(), answer["error"]["code"].as_str()),
            (Some(false), Some("not-found")),
            "{event}"
        );
    }
    let resumed = socket.ask("resume", json!({"cursors": {&conversation: 0}})).await;
    assert_eq!(resumed, json!({"ok": true, "changes": {}, "more": []}));
    replica.say(&ada, &conversation, "still between us").await;
    // What is Eve's own comes, so what is not would have come by now.
    let other = replica.direct(&eve, &bob).await;
    replica.say(&bob, &other, "hello Eve").await;
    let heard = socket.wait_for("message:new", 1).await;
    assert_eq!(heard.iter().map(|m| m["text"].as_str().unwrap()).collect::<Vec<_>>(), ["hello Eve"]);
    assert_eq!(replica.history(&bob, &conversation).await.len(), 2);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nobody_gets_in() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let client = Client::start();
    let forged = {
        let mut token = Person::new().token;
        let last = if token.ends_with('A') { 'B' } else { 'A' };
        token.truncate(token.len() - 4);
        token.extend([last, last, last, last]);
        token
    };
    for (token, reason) in [
        ("", "invalid-token"),
        ("nonsense", "invalid-token"),
        (forged.as_str(), "invalid-token"),
        (Person::whose_token_lasts(-60).token.as_str(), "token-expired"),
    ] {
        let refused = client.try_connect(&replica.url, token, json!({})).await.err();
        assert_eq!(refused.as_deref(), Some(reason), "{token}");
        let stranger = Person { token: token.to_owned(), ..Person::new() };
        assert_eq!(replica.get(&stranger, "/conversations").await.0, 401);
    }
    let refused = client.try_connect(&replica.url, "", json!({"auth": {}})).await.err();
    assert_eq!(refused.as_deref(), Some("unauthenticated"));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_ends_the_sockets_of_that_session_alone() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let phone = Person::new();
    let laptop = Person { session: Person::new().session, ..phone.clone() }.renewed();
    let client = Client::start();
    let ends = client.connect(&replica.url, &phone.token).await;
    let stays = client.connect(&replica.url, &laptop.token).await;

    let mut redis =
        redis::Client::open(platform.redis_url.clone()).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET")
        .arg(format!("auth:revoked:{}", phone.session))
        .arg("1")
        .arg("EX")
        .arg(600)
        .exec_async(&mut redis)
        .await
        .unwrap();
    let word = json!({"sid": phone.session, "userId": phone.id}).to_string();
    redis::cmd("PUBLISH").arg("auth:revocations").arg(word).exec_async(&mut redis).await.unwrap();

    ends.wait_for("session:revoked", 1).await;
    assert_eq!(ends.wait_for("disconnect", 1).await, ["io server disconnect"]);
    assert_eq!(ends.reconnect().await.unwrap_err(), "session-revoked");
    assert_eq!(stays.ask("resume", json!({"cursors": {}})).await["ok"], true);
    assert!(stays.received("session:revoked").is_empty());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_token_and_may_come_back_with_another() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let client = Client::start();
    let brief = Person::whose_token_lasts(2);
    let socket = client.connect(&replica.url, &brief.token).await;
    assert_eq!(socket.wait_for("disconnect", 1).await, ["io server disconnect"]);
    let again = client.connect(&replica.url, &brief.renewed().token).await;
    assert_eq!(again.ask("resume", json!({"cursors": {}})).await["ok"], true);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_client_sends_is_answered() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    for (event, body, code) in [
        ("message:send", Value::Null, "validation-failed"),
        ("message:send", json!("text"), "validation-failed"),
        ("message:send", json!([1, 2, 3]), "validation-failed"),
        ("message:send", json!({"conversationId": "17", "text": "x", "nonce": "n"}), "validation-failed"),
        ("message:send", json!({"conversationId": conversation, "nonce": "n"}), "validation-failed"),
        ("message:send", json!({"conversationId": conversation, "text": " ", "nonce": "n"}), "validation-failed"),
        (
            "message:send",
            json!({"conversationId": conversation, "text": "x".repeat(8001), "nonce": "n"}),
            "validation-failed",
        ),
        (
            "message:send",
            json!({"conversationId": conversation, "text": "x", "nonce": "n".repeat(65)}),
            "validation-failed",
        ),
        ("message:send", json!({"conversationId": conversation, "text": "x", "replyTo": ada.id}), "validation-failed"),
        ("conversation:read", json!({"conversationId": conversation, "seq": -1}), "validation-failed"),
        (
            "reaction:add",
            json!({"conversationId": conversation, "messageId": ada.id, "emoji": "a b"}),
            "validation-failed",
        ),
        ("reaction:add", json!({"conversationId": conversation, "messageId": ada.id, "emoji": "x"}), "not-found"),
        ("resume", json!({"cursors": [1]}), "validation-failed"),
        ("no:such:event", json!({}), "unknown-event"),
    ] {
        let answer = socket.ask(event, body.clone()).await;
        assert_eq!(
            (answer["ok"].as_bool(), answer["error"]["code"].as_str()),
            (Some(false), Some(code)),
            "{event} {body}"
        );
        assert_eq!(answer["error"]["traceId"].as_str().map(str::len), Some(32));
    }
    // Without arguments, with too many, and without asking for an acknowledgement.
    socket.fire("message:send", json!([])).await;
    socket.fire("message:send", json!([{"conversationId": conversation, "text": "first argument counts"}, 2, 3])).await;
    let longest = "ö".repeat(8000);
    let answer =
        socket.ask("message:send", json!({"conversationId": conversation, "text": longest, "nonce": "l"})).await;
    assert_eq!(answer["message"]["text"], longest);
    let history = replica.history(&bob, &conversation).await;
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["text"], "first argument counts");
    replica.stop().await;
}
