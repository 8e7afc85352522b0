//! The outbox between a real database and a real broker.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use contract::{event::Envelope, id::EventId};
use mongodb::{
    Client, Collection,
    bson::{Document, doc, serialize_to_bson},
};
use runtime::{
    clock::Clock,
    connect::Database,
    messaging::{Consumer, ConsumerSettings, Outcome, Publisher},
    outbox::{Relay, Waker},
    shutdown::Shutdown,
};

mod broker;

use broker::{Broker, event, until};

const QUEUE: &str = "test.outbox";

struct House {
    broker: Broker,
    documents: Collection<Document>,
    seen: Arc<Mutex<Vec<EventId>>>,
    shutdown: Shutdown,
}

impl House {
    async fn open(broker: Broker) -> Self {
        let uri = tokio::task::spawn_blocking(|| servers::MongoDb::shared().uri()).await.unwrap();
        let name = format!("outbox_{}", EventId::generate());
        let documents = Client::with_uri_str(uri).await.unwrap().database(&name).collection("documents");
        Self { broker, documents, seen: Arc::default(), shutdown: Shutdown::new() }
    }

    async fn consume(&self) {
        let sink = Arc::clone(&self.seen);
        let mut settings = ConsumerSettings::new(QUEUE, &["session.revoked"]);
        settings.concurrency = 1;
        tokio::spawn(Consumer::new(self.broker.connector.clone(), settings).run(
            self.shutdown.clone(),
            move |envelope: Envelope| {
                sink.lock().unwrap().push(envelope.id);
                async { Outcome::Ack }
            },
        ));
        until("the consumer is there", async || {
            let Ok(channel) = self.broker.connector.channel().await else { return false };
            let options = lapin::options::QueueDeclareOptions::durable().passive();
            let queue = channel.queue_declare(QUEUE.into(), options, lapin::types::FieldTable::default()).await;
            queue.is_ok_and(|queue| queue.consumer_count() > 0)
        })
        .await;
    }

    fn relay(&self, clock: &Clock) -> Waker {
        let documents = &self.documents;
        let database: Database = documents.client().database(&documents.namespace().db).into();
        let relay = Relay::new(
            &database.collection::<Document>(documents.name()),
            Publisher::new(self.broker.connector.clone()),
            clock.clone(),
        );
        let waker = relay.waker();
        tokio::spawn(relay.run(self.shutdown.clone()));
        waker
    }

    async fn write(&self, id: i32, events: &[Envelope]) {
        let outbox = serialize_to_bson(events).unwrap();
        self.documents.insert_one(doc! {"_id": id, "outbox": outbox}).await.unwrap();
    }

    async fn append(&self, id: i32, event: &Envelope) {
        let update = doc! {"$push": {"outbox": serialize_to_bson(event).unwrap()}};
        self.documents.update_one(doc! {"_id": id}, update).await.unwrap();
    }

    fn seen(&self) -> Vec<EventId> {
        self.seen.lock().unwrap().clone()
    }

    async fn left(&self) -> u64 {
        self.documents.count_documents(doc! {"outbox.0": {"$exists": true}}).await.unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.soft().cancel();
    }
}

/// An event of this moment.
fn event_at(clock: &Clock) -> Envelope {
    Envelope::new("test", event().event, None, clock.now(), &mut rand::rng())
}

fn events(count: usize) -> Vec<Envelope> {
    (0..count).map(|_| event()).collect()
}

fn ids(events: &[Envelope]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn events_leave_in_order_as_soon_as_their_writer_says_so() {
    let house = House::open(Broker::shared().await).await;
    house.consume().await;
    // The clock stands still: nothing is ever old enough for a look at the index.
    let waker = house.relay(&Clock::manual(Clock::system().now()));
    let all = events(60);
    for (id, own) in all.chunks(3).enumerate() {
        let id = i32::try_from(id).unwrap();
        house.write(id, own).await;
        waker.wake(id);
    }
    until("all have arrived", async || house.seen().len() >= all.len()).await;
    assert_eq!(house.seen(), ids(&all));
    until("the outboxes are empty", async || house.left().await == 0).await;
}

#[tokio::test]
async fn events_whose_writer_crashed_are_found_and_leave_in_order() {
    let house = House::open(Broker::shared().await).await;
    house.consume().await;
    let all = events(300);
    for (id, own) in all.chunks(2).enumerate() {
        house.write(i32::try_from(id).unwrap(), own).await;
    }
    let clock = Clock::manual(Clock::system().now());
    house.relay(&clock);
    clock.advance(Duration::from_mins(1));
    until("all have arrived", async || house.seen().len() >= all.len()).await;
    until("the outboxes are empty", async || house.left().await == 0).await;
    let seen: BTreeSet<_> = house.seen().into_iter().collect();
    assert_eq!(seen, ids(&all).into_iter().collect());
    // Within a document the order is that of the array.
    let arrived = house.seen();
    let place = |id: EventId| arrived.iter().position(|seen| *seen == id);
    assert!(all.chunks(2).all(|own| place(own[0].id) < place(own[1].id)));
}

#[tokio::test]
async fn events_wait_for_a_broker_that_is_away_for_a_minute_and_then_leave_in_order() {
    let mut server = tokio::task::spawn_blocking(|| servers::RabbitMq::start().unwrap()).await.unwrap();
    let house = House::open(Broker::at(&server.virtual_host())).await;
    house.consume().await;
    let clock = Clock::manual(Clock::system().now());
    let waker = house.relay(&clock);
    let mut written: BTreeMap<i32, Vec<EventId>> = BTreeMap::new();
    for document in 0..3 {
        let first = event_at(&clock);
        house.write(document, std::slice::from_ref(&first)).await;
        written.insert(document, vec![first.id]);
        waker.wake(document);
    }
    until("the first have arrived", async || house.seen().len() >= 3).await;

    server.kill();
    // Two steps of writing every five seconds, over the minute; then nobody writes any more.
    for _ in 0..12 {
        clock.advance(Duration::from_secs(5));
        for (&document, events) in &mut written {
            let next = event_at(&clock);
            house.append(document, &next).await;
            events.push(next.id);
            waker.wake(document);
        }
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(house.left().await, 3);
    let _server = tokio::task::spawn_blocking(move || server.restart().map(|()| server)).await.unwrap().unwrap();
    until("the outboxes are empty", async || house.left().await == 0).await;
    until("the others have arrived", async || {
        let seen: BTreeSet<_> = house.seen().into_iter().collect();
        written.values().flatten().all(|id| seen.contains(id))
    })
    .await;
    // Some may have arrived twice: the first time counts.
    let (seen, mut known) = (house.seen(), BTreeSet::new());
    let seen: Vec<_> = seen.into_iter().filter(|id| known.insert(*id)).collect();
    for events in written.values() {
        let arrived: Vec<_> = seen.iter().copied().filter(|id| events.contains(id)).collect();
        assert_eq!(arrived, *events);
    }
}

#[tokio::test]
async fn two_relays_of_one_collection_lose_nothing() {
    let house = House::open(Broker::shared().await).await;
    house.consume().await;
    let clock = Clock::system();
    let wakers = [house.relay(&clock), house.relay(&clock)];
    let all = events(100);
    for (id, event) in all.iter().enumerate() {
        let number = i32::try_from(id).unwrap();
        house.write(number, std::slice::from_ref(event)).await;
        wakers[id % 2].wake(number);
    }
    until("all have arrived", async || {
        let seen: BTreeSet<_> = house.seen().into_iter().collect();
        ids(&all).iter().all(|id| seen.contains(id))
    })
    .await;
    until("the outboxes are empty", async || house.left().await == 0).await;
}

#[tokio::test]
async fn a_look_at_a_quiet_collection_reads_no_document() {
    let house = House::open(Broker::shared().await).await;
    house.relay(&Clock::system());
    for id in 0..50 {
        house.documents.insert_one(doc! {"_id": id, "outbox": []}).await.unwrap();
    }
    until("the index is there", async || {
        house.documents.list_index_names().await.is_ok_and(|names| names.contains(&"outbox_pending".to_owned()))
    })
    .await;
    let database = house.documents.client().database(&house.documents.namespace().db);
    let find = doc! {"find": "documents", "filter": {"outbox.0": {"$exists": true}, "outbox.id": {"$lt": "Z"}}, "sort": {"outbox.id": 1}};
    let plan = database.run_command(doc! {"explain": find, "verbosity": "executionStats"}).await.unwrap();
    let stats = plan.get_document("executionStats").unwrap();
    assert_eq!(stats.get_i32("totalDocsExamined").unwrap(), 0, "{stats}");
    assert_eq!(stats.get_i32("totalKeysExamined").unwrap(), 0, "{stats}");
}
