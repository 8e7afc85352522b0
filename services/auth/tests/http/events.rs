use std::time::Duration;

use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::{Value, json};

use crate::service::Auth;

/// Hears every event from now on.
pub(crate) async fn listen(auth: &Auth) -> (Connection, Consumer) {
    let connection = Connection::connect(&auth.rabbitmq, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let none = FieldTable::default;
    channel.exchange_declare("chat.events".into(), ExchangeKind::Topic, durable, none()).await.unwrap();
    channel.queue_declare("heard".into(), QueueDeclareOptions::default(), none()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind("heard".into(), "chat.events".into(), "#".into(), bind, none()).await.unwrap();
    let consume = BasicConsumeOptions::default();
    let consumer = channel.basic_consume("heard".into(), "test".into(), consume, none()).await.unwrap();
    (connection, consumer)
}

/// The data of the next event of type `kind`.
pub(crate) async fn next_of(consumer: &mut Consumer, kind: &str) -> Value {
    loop {
        let (found, data) = next(consumer).await;
        if found == kind {
            return data;
        }
    }
}

/// The routing key and the data of the next event.
async fn next(consumer: &mut Consumer) -> (String, Value) {
    let delivery = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await.unwrap().unwrap().unwrap();
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    (delivery.routing_key.to_string(), serde_json::from_slice(&delivery.data).unwrap())
}

#[tokio::test]
async fn a_registration_is_told_to_whoever_listens() {
    let auth = Auth::start().await;
    let (_connection, mut events) = listen(&auth).await;
    let ada = auth.register_as("ada", "Ada Lovelace").await;
    let (kind, data) = next(&mut events).await;
    assert_eq!(kind, "user.registered");
    let expected = json!({
        "userId": ada.user["id"], "username": "ada", "email": "ada@example.org", "displayName": "Ada Lovelace",
    });
    assert_eq!(data, expected);
}

#[tokio::test]
async fn the_end_of_a_session_is_told_once_and_leaves_the_outbox_empty() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    auth.post_as("/api/v1/auth/logout", &ada.access_token).await;
    loop {
        let (kind, data) = next(&mut events).await;
        if kind == "session.revoked" {
            let expected = json!({"userId": ada.user["id"], "sessionId": ada.session(), "reason": "ended"});
            assert_eq!(data, expected);
            break;
        }
    }
    let pending = mongodb::bson::doc! {"outbox.0": {"$exists": true}};
    auth.until("the outbox is empty", async || {
        auth.all::<mongodb::bson::Document>("sessions", pending.clone()).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_used_twice_is_told_with_its_reason() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    let next = auth.refresh(&ada.refresh_token).await.unwrap();
    auth.refresh(&next.refresh_token).await.unwrap();
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "refresh-token-reused");
    assert_eq!(next_of(&mut events, "session.revoked").await["reason"], "token-reused");
}

#[tokio::test]
async fn a_changed_profile_is_told_as_it_is_now() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    let avatar = "01JDAYB7N8000000000000000A";
    auth.patch("/api/v1/users/me", &ada.access_token, &json!({"displayName": "Countess", "avatarId": avatar})).await;
    let told = next_of(&mut events, "user.updated").await;
    let expected = json!({"userId": ada.user["id"], "username": "ada", "displayName": "Countess", "avatarId": avatar});
    assert_eq!(told, expected);
}
