use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use operator::provision::rabbitmq::{EXCHANGE, Target, provision};
use operator::secrets::{Login, Material, Names};
use secrecy::ExposeSecret;
use serde_json::Value;
use servers::RabbitMq;

use super::{install_crypto, login, material, nobody, value};

const ACCESS_REFUSED: u16 = 403;

fn target(material: &Material, management_url: String) -> Target {
    Target {
        management_url,
        operator: material.rabbitmq.operator.clone(),
        virtual_host: Names::VIRTUAL_HOST.to_owned(),
        users: material.rabbitmq.users.clone(),
    }
}

/// A broker that has taken the definitions as it does at its start.
async fn start(material: &Material) -> (RabbitMq, Target) {
    install_crypto();
    let broker = RabbitMq::start().unwrap();
    let definitions: Value = serde_json::from_str(&value(material, "acme-rabbitmq", "definitions.json")).unwrap();
    let response = reqwest::Client::new()
        .post(format!("{}/api/definitions", broker.management_url()))
        .basic_auth(broker.user(), Some(broker.password()))
        .json(&definitions)
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    let target = target(material, broker.management_url());
    (broker, target)
}

async fn connect(broker: &RabbitMq, login: &Login) -> lapin::Result<Connection> {
    let password = login.password.expose_secret();
    let uri = format!("amqp://{}:{password}@{}/{}", login.user, broker.address(), Names::VIRTUAL_HOST);
    Connection::connect(&uri, ConnectionProperties::default()).await
}

async fn channel(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// The broker closes a channel that oversteps its rights, so each question has one of its own.
fn refused<T: std::fmt::Debug>(answer: lapin::Result<T>) {
    match answer.unwrap_err().kind() {
        lapin::ErrorKind::ProtocolError(error) => assert_eq!(error.get_id(), ACCESS_REFUSED, "{error}"),
        other => panic!("{other:?}"),
    }
}

async fn publish(channel: &Channel) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    let confirm = channel
        .basic_publish(EXCHANGE.into(), "message.created".into(), options, b"{}", BasicProperties::default())
        .await?;
    confirm.await.map(drop)
}

async fn declare(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), EXCHANGE.into(), "message.*".into(), options, arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_gets_its_exchange_and_users_that_reach_their_own_names_alone() {
    let material = material();
    let (broker, target) = start(&material).await;

    let state = provision(&target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.message, "1 of 1 nodes run");
    assert!(state.version.is_some());
    assert!(state.changes.contains(&"declared exchange chat.events".to_owned()), "{state:?}");
    assert_eq!(provision(&target).await.unwrap().changes, Vec::<String>::new());

    for publisher in ["auth", "chat"] {
        let connection = connect(&broker, login(&target.users, publisher)).await.unwrap();
        publish(&channel(&connection).await).await.unwrap();
        let again = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declare_exchange = async |name: &'static str| {
            let channel = channel(&connection).await;
            channel.exchange_declare(name.into(), ExchangeKind::Topic, again, FieldTable::default()).await
        };
        declare_exchange(EXCHANGE).await.unwrap();
        refused(declare_exchange("chatXevents").await);
        refused(declare(&channel(&connection).await, "notification.mine").await);
    }

    let connection = connect(&broker, login(&target.users, "notification")).await.unwrap();
    let consumer = channel(&connection).await;
    declare(&consumer, "notification.events").await.unwrap();
    bind(&consumer, "notification.events").await.unwrap();
    // What fails goes through an exchange of its own, to be delayed and tried again.
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let router = "notification.events.router";
    consumer.exchange_declare(router.into(), ExchangeKind::Direct, durable, FieldTable::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(router.into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    consumer.queue_declare("notification.events.delay.1000".into(), options, arguments).await.unwrap();
    refused(publish(&channel(&connection).await).await);
    refused(declare(&channel(&connection).await, "other.events").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_corrected_and_a_foreign_exchange_is_left_alone() {
    let material = material();
    let (broker, target) = start(&material).await;
    provision(&target).await.unwrap();

    let changed = Target { users: super::material().rabbitmq.users, ..target.clone() };
    let state = provision(&changed).await.unwrap();
    assert_eq!(state.changes, ["set user auth", "set user chat", "set user notification"]);
    for (old, new) in target.users.iter().zip(&changed.users) {
        assert!(connect(&broker, old).await.is_err());
        assert!(connect(&broker, new).await.is_ok());
    }

    let call = |method, path: &str| {
        reqwest::Client::new()
            .request(method, format!("{}/api/{path}/{EXCHANGE}", broker.management_url()))
            .basic_auth(&target.operator.user, Some(target.operator.password.expose_secret()))
    };
    let exchange = format!("exchanges/{}", Names::VIRTUAL_HOST);
    assert!(call(reqwest::Method::DELETE, &exchange).send().await.unwrap().status().is_success());
    assert_eq!(provision(&changed).await.unwrap().changes, ["declared exchange chat.events"]);

    call(reqwest::Method::DELETE, &exchange).send().await.unwrap();
    let body = serde_json::json!({"type": "fanout", "durable": true});
    assert!(call(reqwest::Method::PUT, &exchange).json(&body).send().await.unwrap().status().is_success());
    let error = provision(&changed).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQConflict", "{error}");

    let wrong = Target { operator: super::material().rabbitmq.operator, ..changed };
    let error = provision(&wrong).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQAccessDenied", "{error}");
    assert!(!error.to_string().contains(wrong.operator.password.expose_secret()));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    install_crypto();
    let error = provision(&target(&material(), format!("http://{}", nobody()))).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQUnreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}
