//! A broker of three nodes, of which one after the other dies under load.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use contract::{
    event::{Envelope, Event, MessageCreated},
    id::{ConversationId, EventId, MessageId, UserId},
};
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use runtime::{
    clock::Clock,
    messaging::{Outcome, Publisher},
};
use servers::RabbitMqCluster;
use tokio::sync::watch;

use super::{
    Consuming, QUEUE,
    broker::{Broker, comes},
    settings_of, until,
};

const CONVERSATIONS: usize = 5;
/// Enough that several batches are under way at any time.
const BATCH: usize = 20;

#[derive(Clone, Copy, PartialEq)]
enum Round {
    Leader,
    Connected,
}

/// What the broker has confirmed, in the order of publication.
#[derive(Default)]
struct Published {
    confirmed: Vec<Envelope>,
    failures: usize,
}

fn said(conversation_id: ConversationId) -> Envelope {
    let (message_id, sender_id) = (MessageId::generate(), UserId::generate());
    let event = MessageCreated {
        conversation_id,
        message_id,
        seq: 1,
        sender_id,
        created_at: Clock::system().now(),
        member_ids: vec![],
        online_member_ids: vec![],
        mention_ids: vec![],
        muted_member_ids: vec![],
    };
    Envelope::new("chat", event.into(), None, Clock::system().now(), &mut rand::rng())
}

/// Publishes until told to stop. After a failure it goes on from the first event that is not confirmed.
async fn publish(publisher: Publisher, ledger: Arc<Mutex<Published>>, mut stop: watch::Receiver<bool>) {
    let conversations: Vec<_> = (0..CONVERSATIONS).map(|_| ConversationId::generate()).collect();
    let mut pending: Vec<Envelope> = vec![];
    while !*stop.borrow_and_update() || !pending.is_empty() {
        while pending.len() < BATCH && !*stop.borrow() {
            pending.push(said(conversations[pending.len() % CONVERSATIONS]));
        }
        let (confirmed, failed) = match publisher.publish_all(&pending).await {
            Ok(()) => (pending.len(), false),
            Err(failed) => (failed.confirmed, true),
        };
        {
            let mut ledger = ledger.lock().unwrap();
            ledger.confirmed.extend(pending.drain(..confirmed));
            ledger.failures += usize::from(failed);
        }
        if failed {
            // As the outbox's relay does between two tries.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn conversation(envelope: &Envelope) -> ConversationId {
    let Event::MessageCreated(message) = &envelope.event else { panic!("{envelope:?}") };
    message.conversation_id
}

/// The events of each conversation, each where it was seen first.
fn by_conversation<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> BTreeMap<ConversationId, Vec<EventId>> {
    let (mut known, mut conversations) = (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
    for envelope in events.into_iter().filter(|envelope| known.insert(envelope.id)) {
        conversations.entry(conversation(envelope)).or_default().push(envelope.id);
    }
    conversations
}

/// What the broker says of the queue.
async fn queue(broker: &Broker) -> String {
    let channel = broker.connector.channel().await.unwrap();
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await {
        Ok(queue) => format!("the queue has {} ready and {} consumers", queue.message_count(), queue.consumer_count()),
        Err(error) => format!("the queue does not tell: {error}"),
    }
}

/// Work on the cluster that blocks.
async fn at<T: Send + 'static>(
    cluster: RabbitMqCluster,
    work: impl FnOnce(&mut RabbitMqCluster) -> T + Send + 'static,
) -> (RabbitMqCluster, T) {
    tokio::task::spawn_blocking(move || {
        let mut cluster = cluster;
        let done = work(&mut cluster);
        (cluster, done)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_die_under_load_lose_no_confirmed_event_and_keep_each_conversation_in_order() {
    let cluster = tokio::task::spawn_blocking(|| RabbitMqCluster::start(3).unwrap()).await.unwrap();
    let (mut cluster, uri) = at(cluster, |cluster| cluster.virtual_host(0)).await;
    let virtual_host = uri.rsplit('/').next().unwrap().to_owned();
    let broker = Broker::at(&uri);

    let seen: Arc<Mutex<Vec<Envelope>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let mut settings = settings_of(&["message.created"], &[]);
    settings.concurrency = 1;
    let consuming = Consuming::start(&broker, settings, move |envelope| {
        sink.lock().unwrap().push(envelope);
        async { Outcome::Ack }
    })
    .await;
    let ledger = Arc::<Mutex<Published>>::default();
    let (stop, stopped) = watch::channel(false);
    let publisher = Publisher::new(broker.connector.clone());
    let publishing = tokio::spawn(publish(publisher, Arc::clone(&ledger), stopped));
    let confirmed = || ledger.lock().unwrap().confirmed.len();
    until("there is load", async || confirmed() >= 500).await;

    // The one that leads the queue first, then the one that the clients are connected to.
    for round in [Round::Leader, Round::Connected] {
        let (asked, name) = (usize::from(round == Round::Connected), virtual_host.clone());
        let victim;
        (cluster, victim) = at(cluster, move |cluster| match round {
            Round::Leader => cluster.queue(asked, &name, QUEUE).unwrap().leader,
            Round::Connected => cluster.connected(asked).unwrap().into_iter().next().unwrap(),
        })
        .await;
        let (before, failures) = (confirmed(), ledger.lock().unwrap().failures);
        cluster.kill(victim);
        until("events are confirmed without it", async || confirmed() >= before + 500).await;
        let noticed = ledger.lock().unwrap().failures > failures;
        assert!(noticed || round == Round::Leader, "nobody noticed that node {victim} died");

        (cluster, ()) = at(cluster, move |cluster| cluster.start_nodes([victim]).unwrap()).await;
        until("its member is back", async || {
            cluster.queue((victim + 1) % 3, &virtual_host, QUEUE).is_ok_and(|queue| queue.online.len() == 3)
        })
        .await;
    }
    stop.send(true).unwrap();
    publishing.await.unwrap();

    let ledger = std::mem::take(&mut ledger.lock().unwrap().confirmed);
    let missing = || -> Vec<usize> {
        let arrived: BTreeSet<_> = seen.lock().unwrap().iter().map(|envelope| envelope.id).collect();
        (0..).zip(&ledger).filter(|(_, envelope)| !arrived.contains(&envelope.id)).map(|(place, _)| place).collect()
    };
    if !comes(async || missing().is_empty()).await {
        let (missing, all, queue) = (missing(), ledger.len(), queue(&broker).await);
        panic!("{} of {all} confirmed events have not arrived, {queue}: {missing:?}", missing.len());
    }
    consuming.stop().await;
    assert_eq!(by_conversation(&*seen.lock().unwrap()), by_conversation(&ledger));
}
