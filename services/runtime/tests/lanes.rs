//! Outboxes in order across documents, between a real database and a real broker.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use contract::{
    event::{Envelope, Event, MessageDeleted},
    id::{ConversationId, EventId, MessageId, UserId},
};
use jiff::Timestamp;
use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc, serialize_to_bson},
};
use runtime::{
    clock::Clock,
    connect,
    messaging::{Consumer, ConsumerSettings, Outcome, Publisher},
    outbox::{LANE, LaneWaker, Lanes, lane_of},
    shutdown::Shutdown,
};
use tokio::task::JoinHandle;

#[allow(dead_code, reason = "the events here have numbers, and are made here")]
mod broker;

use broker::{Broker, until};

const QUEUE: &str = "test.lanes";

struct House {
    broker: Broker,
    database: Database,
    documents: Collection<Document>,
    seen: Arc<Mutex<Vec<(ConversationId, u64)>>>,
    shutdown: Shutdown,
}

/// Relays for all lanes, as one process has them.
struct Process {
    waker: LaneWaker,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl House {
    async fn open() -> Self {
        let broker = Broker::shared().await;
        let uri = tokio::task::spawn_blocking(|| servers::MongoDb::shared().uri()).await.unwrap();
        let database = Client::with_uri_str(uri).await.unwrap().database(&format!("lanes_{}", EventId::generate()));
        let documents = database.collection("documents");
        let house = Self { broker, database, documents, seen: Arc::default(), shutdown: Shutdown::new() };
        house.consume().await;
        house
    }

    async fn consume(&self) {
        let sink = Arc::clone(&self.seen);
        let mut settings = ConsumerSettings::new(QUEUE, &["message.deleted"]);
        settings.concurrency = 1;
        let consumer = Consumer::new(self.broker.connector.clone(), settings);
        tokio::spawn(consumer.run(self.shutdown.clone(), move |envelope: Envelope| {
            if let Event::MessageDeleted(event) = envelope.event {
                sink.lock().unwrap().push((event.conversation_id, event.seq));
            }
            async { Outcome::Ack }
        }));
        until("the consumer is there", async || {
            let Ok(channel) = self.broker.connector.channel().await else { return false };
            let options = lapin::options::QueueDeclareOptions::durable().passive();
            let queue = channel.queue_declare(QUEUE.into(), options, lapin::types::FieldTable::default()).await;
            queue.is_ok_and(|queue| queue.consumer_count() > 0)
        })
        .await;
    }

    fn start(&self) -> Process {
        let publisher = Publisher::new(self.broker.connector.clone());
        let documents = connect::Database::from(self.database.clone()).collection::<Document>("documents");
        let lanes = Lanes::new(&documents, "conversationId", publisher, Clock::system());
        let (waker, shutdown) = (lanes.waker(), Shutdown::new());
        Process { waker, running: tokio::spawn(lanes.run(shutdown.clone())), shutdown }
    }

    /// Writes a document with events of these numbers. The later a number, the earlier the clock of who writes it.
    async fn write(&self, conversation: ConversationId, seqs: &[u64]) {
        let outbox: Vec<_> = seqs.iter().map(|seq| serialize_to_bson(&event(conversation, *seq)).unwrap()).collect();
        self.documents.insert_one(document(conversation, outbox)).await.unwrap();
    }

    /// What arrived of a conversation, each the first time.
    fn arrived(&self, conversation: ConversationId) -> Vec<u64> {
        let mut known = BTreeSet::new();
        let seen = self.seen.lock().unwrap().clone();
        seen.into_iter().filter(|(of, seq)| *of == conversation && known.insert(*seq)).map(|(_, seq)| seq).collect()
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

impl Process {
    async fn stop(self) {
        self.shutdown.soft().cancel();
        self.running.await.unwrap();
    }
}

fn document(conversation: ConversationId, outbox: Vec<mongodb::bson::Bson>) -> Document {
    let key = conversation.to_string();
    doc! {"_id": EventId::generate().to_string(), LANE: lane_of(&key), "conversationId": key, "outbox": outbox}
}

fn event(conversation_id: ConversationId, seq: u64) -> Envelope {
    let skewed = Timestamp::from_second(2_000_000_000 - i64::try_from(seq).unwrap()).unwrap();
    let event = MessageDeleted {
        conversation_id,
        message_id: MessageId::generate(),
        seq,
        deleted_by: UserId::generate(),
        deleted_at: skewed,
    };
    Envelope::new("test", event.into(), None, skewed, &mut rand::rng())
}

#[tokio::test]
async fn events_of_many_documents_leave_in_the_order_of_their_numbers_whatever_their_clocks_said() {
    let house = House::open().await;
    let conversations: Vec<_> = (0..5).map(|_| ConversationId::generate()).collect();
    for conversation in &conversations {
        // Written in another order, and some documents with a late event behind an early one.
        for start in [201_u64, 1, 101] {
            for seq in (start..start + 100).rev().filter(|seq| *seq != 300) {
                let events = if seq == 1 { vec![1, 300] } else { vec![seq] };
                house.write(*conversation, &events).await;
            }
        }
    }
    let processes = [house.start(), house.start()];
    until("the outboxes are empty", async || house.left().await == 0).await;
    until("all have arrived", async || conversations.iter().all(|of| house.arrived(*of).len() == 300)).await;
    for conversation in conversations {
        assert_eq!(house.arrived(conversation), (1..=300).collect::<Vec<_>>());
    }
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test]
async fn two_processes_write_to_one_conversation_and_its_events_leave_in_order() {
    let house = House::open().await;
    let processes = [house.start(), house.start()];
    let conversation = ConversationId::generate();
    for seq in 1..=100 {
        house.write(conversation, &[seq]).await;
        processes[usize::from(seq % 2 == 0)].waker.wake(&conversation.to_string());
    }
    until("all have arrived", async || house.arrived(conversation).len() == 100).await;
    assert_eq!(house.arrived(conversation), (1..=100).collect::<Vec<_>>());
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test]
async fn the_lanes_of_a_process_that_dies_are_taken_over_and_nothing_is_lost() {
    let house = House::open().await;
    let first = house.start();
    let conversation = ConversationId::generate();
    house.write(conversation, &[1]).await;
    until("the first has arrived", async || house.arrived(conversation).len() == 1).await;
    let leases = house.database.collection::<Document>("outbox_leases");
    let holders = async || {
        let found: Vec<Document> =
            futures::TryStreamExt::try_collect(leases.find(doc! {}).await.unwrap()).await.unwrap();
        found.iter().map(|l| (l.get_str("_id").unwrap().to_owned(), l.get_str("holder").unwrap().to_owned())).collect()
    };
    let before: BTreeMap<String, String> = holders().await;
    // Without a word: its leases run out.
    first.running.abort();
    house.write(conversation, &[2]).await;
    let second = house.start();
    until("the second has arrived", async || house.arrived(conversation).len() == 2).await;
    assert_eq!(house.arrived(conversation), [1, 2]);
    let after: BTreeMap<String, String> = holders().await;
    let lane = format!("documents/{}", lane_of(&conversation.to_string()));
    assert_ne!(before[&lane], after[&lane]);
    // In good order: nobody has to wait.
    second.stop().await;
    let left: BTreeMap<String, String> = holders().await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_laid_aside_and_those_behind_it_go_on() {
    let house = House::open().await;
    let conversation = ConversationId::generate();
    let good = |seq| serialize_to_bson(&event(conversation, seq)).unwrap();
    let strange =
        doc! {"id": EventId::generate().to_string(), "event": {"type": "message.teleported", "data": {"seq": 1}}};
    let outbox = vec![good(1), strange.clone().into(), good(2)];
    house.documents.insert_one(document(conversation, outbox)).await.unwrap();
    let process = house.start();
    until("the others have arrived", async || house.arrived(conversation).len() == 2).await;
    until("the outboxes are empty", async || house.left().await == 0).await;
    assert_eq!(house.arrived(conversation), [1, 2]);
    let dead = house.database.collection::<Document>("outbox_dead");
    let laid_aside = dead.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(laid_aside.get_document("event").unwrap(), &strange);
    assert!(!laid_aside.get_str("reason").unwrap().is_empty());
    assert_eq!(dead.count_documents(doc! {}).await.unwrap(), 1);
    tokio::time::timeout(Duration::from_mins(1), process.stop()).await.unwrap();
}
