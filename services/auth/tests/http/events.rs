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
async fn listen(auth: &Auth) -> (Connection, Consumer) {
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
            assert_eq!(data, json!({"userId": ada.user["id"], "sessionId": ada.session()}));
            break;
        }
    }
    let pending = mongodb::bson::doc! {"outbox.0": {"$exists": true}};
    auth.until("the outbox is empty", async || {
        auth.all::<mongodb::bson::Document>("sessions", pending.clone()).await.is_empty()
    })
    .await;
}
