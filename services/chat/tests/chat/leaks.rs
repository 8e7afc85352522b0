//! What people say is nowhere to be found: not in `MongoDB`, not in what passes through `RabbitMQ` and Redis, not in a log.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::event::EXCHANGE;
use futures::{StreamExt as _, TryStreamExt as _};
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use mongodb::bson::{RawDocumentBuf, doc};
use reqwest::Method;
use serde_json::{Value, json};
use servers::Program;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform, until_ready};

/// Said nowhere else, whole and in part.
const PLANTED: [&str; 4] = ["quokkaburra", "zweiundzwanzigtausend", "flumptious", "sesquipedalian"];

/// Bytes that passed somewhere.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap();
        heard.extend_from_slice(bytes);
        heard.push(b'\n');
    }

    fn holds(&self, text: &str) -> bool {
        let heard = self.0.lock().unwrap();
        heard.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    }

    async fn until(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.holds(text) {
            assert!(tokio::time::Instant::now() < deadline, "{text} does not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Every command that Redis is given, those of scripts included.
async fn monitor(redis_url: &str) -> Heard {
    let address = redis_url.strip_prefix("redis://").unwrap().split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"MONITOR\r\n").await.unwrap();
    let heard = Heard::default();
    let hearing = heard.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = connection.read(&mut buffer).await
            && count > 0
        {
            hearing.0.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    heard.until("+OK").await;
    heard
}

/// Every message that passes through the exchange of events, with its properties.
async fn tap(rabbitmq_uri: &str) -> Heard {
    let connection = Connection::connect(rabbitmq_uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = lapin::options::ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (topic, nothing) = (lapin::ExchangeKind::Topic, FieldTable::default);
    channel.exchange_declare(EXCHANGE.into(), topic, options, nothing()).await.unwrap();
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare("tap".into(), options, nothing()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind("tap".into(), EXCHANGE.into(), "#".into(), bind, nothing()).await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut deliveries = channel.basic_consume("tap".into(), "".into(), options, nothing()).await.unwrap();
    let heard = Heard::default();
    let hearing = heard.clone();
    tokio::spawn(async move {
        // It lasts as long as somebody listens.
        let _connection = connection;
        while let Some(Ok(delivery)) = deliveries.next().await {
            hearing.add(delivery.routing_key.as_str().as_bytes());
            for (name, value) in delivery.properties.headers().iter().flat_map(FieldTable::inner) {
                hearing.add(name.as_str().as_bytes());
                match value {
                    AMQPValue::LongString(text) => hearing.add(text.as_bytes()),
                    other => hearing.add(format!("{other:?}").as_bytes()),
                }
            }
            hearing.add(format!("{:?}", delivery.properties).as_bytes());
            hearing.add(&delivery.data);
        }
    });
    heard
}

async fn stored(platform: &Platform) -> Heard {
    let (database, heard) = (platform.database().await, Heard::default());
    for name in database.list_collection_names().await.unwrap() {
        let mut found = database.collection::<RawDocumentBuf>(&name).find(doc! {}).await.unwrap();
        while let Some(document) = found.try_next().await.unwrap() {
            heard.add(document.as_bytes());
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_is_found_in_no_database_no_broker_no_cache_and_no_log() {
    let redis = servers::Redis::start().unwrap();
    let platform = Platform::with(redis.url(), servers::RabbitMq::shared().virtual_host());
    let (commands, events) = (monitor(&platform.redis_url).await, tap(&platform.rabbitmq_uri).await);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = |folder: &tempfile::TempDir| {
        Program::start("chat", folder.path(), env!("CARGO_BIN_EXE_chat"), platform.environment()).unwrap()
    };
    let (mut first, mut second) = (start(&one), start(&two));
    until_ready(&first.admin_url()).await;
    until_ready(&second.admin_url()).await;
    let (ada, bob) = (Person::named("ada"), Person::named("bob"));
    let call = async |who: &Person, method: Method, path: &str, body: Value| {
        let url = format!("{}/api/v1{path}", first.url());
        let request = reqwest::Client::new().request(method, url).bearer_auth(&who.token).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap_or(Value::Null))
    };
    let (_, opened) =
        call(&ada, Method::POST, "/conversations", json!({"type": "direct", "memberIds": [bob.id]})).await;
    let conversation = opened["id"].as_str().unwrap().to_owned();
    let client = Client::start();
    let (of_ada, of_bob) =
        (client.connect(&first.url(), &ada.token).await, client.connect(&second.url(), &bob.token).await);

    // Sent, edited, answered, refused, searched for, sent again, and read on the other replica.
    let [said, edited, refused, too_long] = PLANTED;
    let body = json!({"conversationId": conversation, "text": format!("a {said} for @bob"), "nonce": "n"});
    let answer = of_ada.ask("message:send", body.clone()).await;
    assert_eq!(of_ada.ask("message:send", body).await["message"], answer["message"]);
    let id = answer["message"]["id"].as_str().unwrap().to_owned();
    of_bob.wait_until("message:new", |message| message["text"] == format!("a {said} for @bob")).await;
    let edit = json!({"conversationId": conversation, "messageId": id, "text": format!("no, {edited}")});
    assert_eq!(of_ada.ask("message:edit", edit).await["ok"], true);
    of_bob.wait_until("message:updated", |message| message["text"] == format!("no, {edited}")).await;
    let forged = json!({"conversationId": conversation, "messageId": id, "text": refused});
    assert_eq!(of_bob.ask("message:edit", forged).await["ok"], false);
    let endless = json!({"conversationId": conversation, "text": too_long.repeat(700)});
    assert_eq!(of_ada.ask("message:send", endless).await["ok"], false);
    of_ada.fire("message:send", json!([{"text": refused}])).await;
    of_ada.fire(refused, json!([refused])).await;
    let messages = format!("/conversations/{conversation}/messages");
    assert_eq!(call(&bob, Method::POST, &messages, json!({"text": refused, "replyTo": 7})).await.0, 400);
    let (status, page) = call(&bob, Method::GET, &format!("/search/messages?q={edited}"), Value::Null).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1));

    // All of it has passed where it could have been seen.
    commands.until(&id).await;
    events.until("message.edited").await;
    first.terminate().unwrap();
    second.terminate().unwrap();
    assert!(first.wait(PATIENCE).unwrap().success() && second.wait(PATIENCE).unwrap().success());
    let (log, stored) = (Heard::default(), stored(&platform).await);
    log.add(first.log().unwrap().as_bytes());
    log.add(second.log().unwrap().as_bytes());
    assert!(log.holds("\"level\":\"DEBUG\""), "they logged all they would");
    assert!(stored.holds(&id) && events.holds(&id));
    for (place, seen) in [("MongoDB", &stored), ("RabbitMQ", &events), ("Redis", &commands), ("a log", &log)] {
        for text in PLANTED {
            assert!(!seen.holds(text), "{place} holds {text:?}");
        }
    }
}
