mod cluster;
mod external;
mod rights;

use std::time::Duration;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use operator::build::Component;
use operator::provision::rabbitmq::{EXCHANGE, Target, provision};
use operator::secrets::{Login, Material, Names, RabbitMq as Secrets};
use secrecy::ExposeSecret;
use serde_json::Value;
use servers::RabbitMq;

use super::{install_crypto, login, material, names, nobody, rotating, value};

fn secrets(material: &Material) -> Secrets {
    material.rabbitmq.own().unwrap().clone()
}

fn target(material: &Material, management_url: String) -> Target {
    let secrets = secrets(material);
    Target {
        management_url,
        operator: secrets.operator.clone(),
        virtual_host: Names::VIRTUAL_HOST.to_owned(),
        users: material.credentials.accepted(Component::RabbitMq),
        refused: vec![],
        nodes: vec!["rabbit@localhost".to_owned()],
    }
}

/// Has a broker take the definitions as it does at its start.
async fn import(material: &Material, management_url: &str) {
    let definitions: Value = serde_json::from_str(&value(material, "acme-rabbitmq", "definitions.json")).unwrap();
    let response = reqwest::Client::new()
        .post(format!("{management_url}/api/definitions"))
        .basic_auth("admin", Some("admin"))
        .json(&definitions)
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
}

async fn start(material: &Material) -> (RabbitMq, Target) {
    install_crypto();
    let broker = RabbitMq::start().unwrap();
    import(material, &broker.management_url()).await;
    let target = target(material, broker.management_url());
    (broker, target)
}

async fn connect(address: &str, login: &Login, virtual_host: &str) -> lapin::Result<Connection> {
    let password = login.password.expose_secret();
    let uri = format!("amqp://{}:{password}@{address}/{virtual_host}", login.user);
    let connecting = Connection::connect(&uri, ConnectionProperties::default());
    tokio::time::timeout(Duration::from_mins(1), connecting).await.expect("the broker neither takes nor refuses it")
}

async fn channel(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

async fn publish(channel: &Channel, kind: &str) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent = channel.basic_publish(EXCHANGE.into(), kind.into(), options, b"{}", properties).await?;
    assert_eq!(sent.await?, Confirmation::Ack(None), "{kind}");
    Ok(())
}

async fn declare(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(queue.into(), options, arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), EXCHANGE.into(), "message.*".into(), options, arguments).await
}

/// What the management API says to the operator's own user.
async fn read(target: &Target, path: &str) -> Value {
    let url = format!("{}/api/{path}", target.management_url);
    let request = reqwest::Client::new()
        .get(url)
        .basic_auth(&target.operator.user, Some(target.operator.password.expose_secret()));
    request.send().await.unwrap().json().await.unwrap()
}

/// A queue, once the broker's statistics know which policy holds for it.
async fn in_force(target: &Target, queue: &str) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let found = read(target, &format!("queues/{}/{queue}", Names::VIRTUAL_HOST)).await;
        if found["policy"].is_string() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_platforms_nodes_are_named_after_its_pods() {
    let mut names = names();
    names.rabbitmq_replicas = 3;
    let of = |ordinal| format!("rabbit@acme-rabbitmq-{ordinal}.acme-rabbitmq.chat.svc");
    assert_eq!(names.rabbitmq_nodes(), [of(0), of(1), of(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_gets_its_exchange_its_users_and_its_policies_once() {
    let material = material();
    let (broker, target) = start(&material).await;

    let state = provision(&target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.message, "1 of 1 nodes run");
    assert!(state.version.is_some());
    for change in ["declared exchange chat.events", "set the events of user auth", "set policy work"] {
        assert!(state.changes.iter().any(|changed| changed == change), "{state:?}");
    }
    assert_eq!(provision(&target).await.unwrap().changes, Vec::<String>::new());

    // What the notification service does, as itself.
    let connection =
        connect(&broker.address(), login(&target.users, "notification"), Names::VIRTUAL_HOST).await.unwrap();
    let consumer = channel(&connection).await;
    declare(&consumer, "notification.events").await.unwrap();
    bind(&consumer, "notification.events").await.unwrap();
    // What fails goes through an exchange of its own, to be delayed and tried again.
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let router = "notification.events.router";
    consumer.exchange_declare(router.into(), ExchangeKind::Direct, durable, FieldTable::default()).await.unwrap();
    declare(&consumer, "notification.events.delay.1000").await.unwrap();

    // What the services do that have to hear of accounts.
    for (service, queue) in [("chat", "chat.accounts"), ("media", "media.accounts")] {
        let connection = connect(&broker.address(), login(&target.users, service), Names::VIRTUAL_HOST).await.unwrap();
        let consumer = channel(&connection).await;
        declare(&consumer, queue).await.unwrap();
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        consumer
            .queue_bind(queue.into(), EXCHANGE.into(), "user.deleted".into(), options, arguments.clone())
            .await
            .unwrap();
        let dead = format!("{queue}.dead");
        declare(&consumer, &dead).await.unwrap();
        let refused =
            consumer.queue_bind(dead.as_str().into(), EXCHANGE.into(), "message.created".into(), options, arguments);
        assert!(refused.await.is_err(), "{service} hears of messages");
    }

    for (queue, policy, router) in [
        ("notification.events", "work", Value::from(router)),
        ("notification.events.delay.1000", "aside", Value::Null),
        ("chat.accounts", "chat-work", Value::from("chat.accounts.router")),
        ("media.accounts.dead", "media-aside", Value::Null),
    ] {
        let found = in_force(&target, queue).await;
        assert_eq!(
            (&found["policy"], &found["effective_policy_definition"]["overflow"]),
            (&policy.into(), &"reject-publish".into())
        );
        assert_eq!(found["effective_policy_definition"]["dead-letter-exchange"], router);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_corrected_and_a_foreign_exchange_is_left_alone() {
    let material = material();
    let (broker, target) = start(&material).await;
    provision(&target).await.unwrap();

    let users = super::material().credentials.accepted(Component::RabbitMq);
    let changed = Target { users, ..target.clone() };
    let state = provision(&changed).await.unwrap();
    assert_eq!(state.changes, ["set user auth", "set user chat", "set user media", "set user notification"]);
    for (old, new) in target.users.iter().zip(&changed.users) {
        assert!(connect(&broker.address(), old, Names::VIRTUAL_HOST).await.is_err());
        assert!(connect(&broker.address(), new, Names::VIRTUAL_HOST).await.is_ok());
    }

    let call = |method, path: String| {
        reqwest::Client::new()
            .request(method, format!("{}/api/{path}", broker.management_url()))
            .basic_auth(&target.operator.user, Some(target.operator.password.expose_secret()))
    };
    let exchange = format!("exchanges/{}/{EXCHANGE}", Names::VIRTUAL_HOST);
    let policy = format!("policies/{}/work", Names::VIRTUAL_HOST);
    assert!(call(reqwest::Method::DELETE, exchange.clone()).send().await.unwrap().status().is_success());
    let body = serde_json::json!({"pattern": ".*", "definition": {"max-length": 1}});
    assert!(call(reqwest::Method::PUT, policy).json(&body).send().await.unwrap().status().is_success());
    assert_eq!(provision(&changed).await.unwrap().changes, ["declared exchange chat.events", "set policy work"]);

    call(reqwest::Method::DELETE, exchange.clone()).send().await.unwrap();
    let body = serde_json::json!({"type": "fanout", "durable": true});
    assert!(call(reqwest::Method::PUT, exchange).json(&body).send().await.unwrap().status().is_success());
    let error = provision(&changed).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQConflict", "{error}");

    let wrong = Target { operator: secrets(&super::material()).operator, ..changed };
    let error = provision(&wrong).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQAccessDenied", "{error}");
    assert!(!error.to_string().contains(wrong.operator.password.expose_secret()));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    install_crypto();
    let target = target(&material(), format!("http://{}", nobody()));
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQUnreachable", "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_user_of_each_service_has_the_rights_of_the_first_and_takes_its_place() {
    let material = material();
    let (broker, target) = start(&material).await;
    provision(&target).await.unwrap();
    let (both, alone) = rotating(&material);
    let (old, all) = (target.users.clone(), both.accepted(Component::RabbitMq));

    let spread = Target { users: all.clone(), ..target.clone() };
    let state = provision(&spread).await.unwrap();
    assert!(state.users_agree);
    let added = ["auth-2", "chat-2", "media-2", "notification-2"];
    let changes = ["set user", "set permissions of user", "set the events of user"]
        .map(|change| added.map(|user| format!("{change} {user}")));
    assert_eq!(state.changes, changes.concat());
    let chat = connect(&broker.address(), login(&all, "chat-2"), Names::VIRTUAL_HOST).await.unwrap();
    publish(&channel(&chat).await, "message.created").await.unwrap();
    let stranger = publish(&channel(&chat).await, "user.created").await.unwrap_err();
    assert!(stranger.to_string().contains("ACCESS_REFUSED"), "{stranger}");
    let connected = connect(&broker.address(), login(&old, "chat"), Names::VIRTUAL_HOST).await.unwrap();
    assert_eq!(provision(&spread).await.unwrap().changes, Vec::<String>::new());

    let refused = alone.refused(Component::RabbitMq);
    let retired = Target { users: alone.accepted(Component::RabbitMq), refused: refused.clone(), ..target };
    let state = provision(&retired).await.unwrap();
    assert!(state.users_agree);
    assert_eq!(state.changes, ["auth", "chat", "media", "notification"].map(|user| format!("removed user {user}")));
    for old in &refused {
        assert!(connect(&broker.address(), old, Names::VIRTUAL_HOST).await.is_err(), "{}", old.user);
    }
    publish(&channel(&chat).await, "message.created").await.unwrap();
    drop(connected);
    assert_eq!(provision(&retired).await.unwrap().changes, Vec::<String>::new());
    let read = read(&retired, "users").await.to_string();
    assert!(!read.contains("\"chat\""), "{read}");
}
