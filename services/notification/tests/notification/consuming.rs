//! From events to notifications.

use contract::{event::EXCHANGE, notification::NotificationKind};
use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use notification::consumer::QUEUE;
use runtime::clock::Clock;
use servers::RabbitMq;

use crate::{
    events::{envelope, message},
    service::{Service, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_finds_a_notification_and_nobody_else() {
    let service = Service::start().await;
    let (sender, online, away) = (service.user(), service.user(), service.user());
    let message = message(sender.id, &[sender.id, online.id, away.id], &[online.id]);

    service.publish(message.clone()).await;

    let found = &away.has(1).await[0];
    assert_eq!(found.user_id, away.id);
    assert_eq!(found.kind, NotificationKind::Message);
    assert_eq!(found.conversation_id, message.conversation_id);
    assert_eq!(found.message_id, message.message_id);
    assert_eq!(found.sender_id, sender.id);
    assert_eq!(found.read_at, None);
    assert!(sender.notifications().await.is_empty() && online.notifications().await.is_empty());
    assert_eq!(service.due().await, 0, "without a mail server nothing is due");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_twice_makes_one_notification() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    let first = envelope(message(sender.id, &[sender.id, away.id], &[]));
    let again = envelope(first.event.clone());
    for event in [&first, &first, &again] {
        service.deliver(event).await;
    }
    let last = message(sender.id, &[sender.id, away.id], &[]);
    service.publish(last.clone()).await;

    until("the last event is dealt with", async || {
        away.notifications().await.iter().any(|notification| notification.message_id == last.message_id)
    })
    .await;
    until("the queue is empty", async || service.depth(QUEUE).await == 0).await;
    away.has(2).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_is_told_completely_though_half_of_it_was_before() {
    let service = Service::start().await;
    let (sender, probe) = (service.user(), service.user());
    let mut members: Vec<_> = (0..1_200).map(|_| contract::id::UserId::generate()).collect();
    let everyone = message(sender.id, &members, &[]);
    let mut half = everyone.clone();
    half.member_ids.truncate(600);
    service.publish(half).await;
    until("half of the group is told", async || service.records().estimated_document_count().await.unwrap() == 600)
        .await;

    service.publish(everyone.clone()).await;

    until("all of the group is told", async || service.records().estimated_document_count().await.unwrap() >= 1_200)
        .await;
    members.push(probe.id);
    let mut with_probe = everyone;
    with_probe.member_ids = members;
    service.publish(with_probe).await;
    probe.has(1).await;
    assert_eq!(service.records().count_documents(mongodb::bson::doc! {}).await.unwrap(), 1_201);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_becomes_a_dead_letter_and_blocks_nobody() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    let channel = service.broker.channel().await.unwrap();
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("cloudEvents:id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("cloudEvents:source", "chat"),
        ("cloudEvents:type", "message.created"),
        ("cloudEvents:time", "2026-11-22T12:00:00Z"),
        ("cloudEvents:specversion", "1.0"),
    ] {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let poison: [(&[u8], BasicProperties); 3] = [
        (b"\xff\xfe not even JSON", BasicProperties::default()),
        (b"{\"conversationId\": 7}", BasicProperties::default().with_headers(headers.clone())),
        (b"null", BasicProperties::default().with_headers(headers)),
    ];
    for (body, properties) in poison {
        channel
            .basic_publish(EXCHANGE.into(), "message.created".into(), BasicPublishOptions::default(), body, properties)
            .await
            .unwrap();
    }
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;

    away.has(1).await;
    let dead = format!("{QUEUE}.dead");
    until("three dead letters", async || service.depth(&dead).await == 3).await;
    assert_eq!(service.depth(QUEUE).await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_broker_events_are_consumed_again() {
    let mut broker = RabbitMq::start().unwrap();
    let service = Service::start_with(&broker, None, Clock::system()).await;
    let (sender, away) = (service.user(), service.user());
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    away.has(1).await;

    broker.restart().unwrap();

    let next = envelope(message(sender.id, &[sender.id, away.id], &[]));
    until("the event is published", async || service.publisher.publish(&next).await.is_ok()).await;
    away.has(2).await;
    let ready = || service.http.get(format!("{}/readyz", service.admin_url)).send();
    until("the service is ready", async || ready().await.unwrap().status() == 200).await;
    service.stop().await;
}
