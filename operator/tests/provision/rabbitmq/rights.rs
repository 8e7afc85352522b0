//! Each service reaches its own names, and those of no other: every pair is tried.

use lapin::options::{BasicConsumeOptions, BasicGetOptions, QueueDeleteOptions, QueuePurgeOptions};
use servers::RabbitMq;

use super::*;

const ACCESS_REFUSED: u16 = 403;

/// What a service does with names that are its own.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Publish an event of this kind.
    Publish(&'static str),
    /// Declare the exchange of events, as publishers do.
    DeclareExchange,
    /// Declare this queue.
    Declare(&'static str),
    /// Bind this queue to the exchange of events.
    Bind(&'static str),
    /// Take a message from this queue.
    Get(&'static str),
    /// Subscribe to this queue.
    Consume(&'static str),
    /// Empty this queue.
    Purge(&'static str),
    /// Delete this queue.
    Delete(&'static str),
}

const SERVICES: [(&str, &[Deed]); 3] = [
    ("auth", &[Deed::Publish("user.registered"), Deed::Publish("session.revoked")]),
    ("chat", &[Deed::Publish("message.created"), Deed::Publish("conversation.member-added")]),
    (
        "notification",
        &[
            Deed::Declare("notification.events"),
            Deed::Declare("notification.other"),
            Deed::Bind("notification.events"),
            Deed::Get("notification.events"),
            Deed::Consume("notification.events"),
            Deed::Purge("notification.events"),
            Deed::Delete("notification.other"),
        ],
    ),
];

async fn attempt(channel: &Channel, deed: Deed) -> lapin::Result<()> {
    match deed {
        Deed::Publish(kind) => publish(channel, kind).await,
        Deed::DeclareExchange => {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default()).await
        }
        Deed::Declare(queue) => declare(channel, queue).await,
        Deed::Bind(queue) => bind(channel, queue).await,
        Deed::Get(queue) => channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop),
        Deed::Consume(queue) => {
            let options = BasicConsumeOptions::default();
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.map(drop)
        }
        Deed::Purge(queue) => channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.map(drop),
        Deed::Delete(queue) => channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop),
    }
}

/// The broker closes a channel that oversteps its rights, so each deed has one of its own.
async fn outcome(connection: &Connection, deed: Deed) -> Result<(), u16> {
    match attempt(&channel(connection).await, deed).await {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            lapin::ErrorKind::ProtocolError(error) => Err(error.get_id()),
            other => panic!("{deed:?}: {other:?}"),
        },
    }
}

async fn as_service(broker: &RabbitMq, target: &Target, service: &str) -> Connection {
    connect(&broker.address(), login(&target.users, service), Names::VIRTUAL_HOST).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_reaches_its_own_names_and_is_refused_those_of_every_other() {
    let material = material();
    let (broker, target) = start(&material).await;
    provision(&target).await.unwrap();
    for (service, own) in SERVICES {
        let connection = as_service(&broker, &target, service).await;
        for &deed in own {
            assert_eq!(outcome(&connection, deed).await, Ok(()), "{service}: {deed:?}");
        }
    }
    for service in ["auth", "chat"] {
        assert_eq!(outcome(&as_service(&broker, &target, service).await, Deed::DeclareExchange).await, Ok(()));
    }
    for (service, _) in SERVICES {
        let connection = as_service(&broker, &target, service).await;
        for (other, theirs) in SERVICES.into_iter().filter(|(other, _)| *other != service) {
            for &deed in theirs {
                let refused = outcome(&connection, deed).await;
                assert_eq!(refused, Err(ACCESS_REFUSED), "{service} as {other}: {deed:?}");
            }
        }
        // Names that are nobody's.
        for deed in [Deed::Declare("other.events"), Deed::Publish("payment.made")] {
            assert_eq!(outcome(&connection, deed).await, Err(ACCESS_REFUSED), "{service}: {deed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_is_refused_in_every_other_virtual_host() {
    let material = material();
    let (broker, target) = start(&material).await;
    provision(&target).await.unwrap();
    let other = broker.virtual_host();
    let other = other.rsplit('/').next().unwrap();
    for (service, _) in SERVICES {
        for virtual_host in ["%2f", other] {
            let login = login(&target.users, service);
            let error = connect(&broker.address(), login, virtual_host).await.unwrap_err();
            assert!(error.to_string().contains("refused"), "{service} in {virtual_host}: {error}");
        }
    }
}
