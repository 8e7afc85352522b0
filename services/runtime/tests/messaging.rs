//! Events through a real broker: what was confirmed arrives, whatever happens in between.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use contract::{
    event::{EXCHANGE, Envelope},
    id::EventId,
    trace::TraceParent,
};
use lapin::{BasicProperties, options::BasicPublishOptions, types::FieldTable};
use runtime::{
    messaging::{Consumer, ConsumerSettings, Outcome, Publisher},
    shutdown::Shutdown,
    trace,
};
use tokio::task::JoinHandle;

mod broker;
mod cluster;

use broker::{Broker, SOON, event, until};

const QUEUE: &str = "test.events";

fn settings(delays: &[u64]) -> ConsumerSettings {
    settings_of(&["session.revoked"], delays)
}

fn settings_of(kinds: &'static [&'static str], delays: &[u64]) -> ConsumerSettings {
    let mut settings = ConsumerSettings::new(QUEUE, kinds);
    settings.delays = delays.iter().copied().map(Duration::from_millis).collect();
    settings
}

struct Consuming {
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl Consuming {
    async fn start<H, F>(broker: &Broker, settings: ConsumerSettings, handle: H) -> Self
    where
        H: Fn(Envelope) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Consumer::new(broker.connector.clone(), settings).run(shutdown.clone(), handle));
        until("the queue is there", async || {
            let channel = broker.connector.channel().await.unwrap();
            // Bound last: who finds this has everything declared and a consumer on it.
            let options = lapin::options::QueueDeclareOptions::durable().passive();
            let queue = channel.queue_declare(QUEUE.into(), options, lapin::types::FieldTable::default()).await;
            queue.is_ok_and(|queue| queue.consumer_count() > 0)
        })
        .await;
        Self { shutdown, running }
    }

    async fn stop(self) {
        self.shutdown.soft().cancel();
        tokio::time::timeout(SOON, self.running).await.unwrap().unwrap();
    }
}

type Seen = Arc<Mutex<Vec<EventId>>>;
type SeenWithTrace = Arc<Mutex<Vec<(Envelope, Option<String>)>>>;

async fn depth(broker: &Broker, queue: &str) -> u32 {
    let channel = broker.connector.channel().await.unwrap();
    runtime::messaging::depth(&channel, queue).await.unwrap()
}

#[tokio::test]
async fn what_was_published_arrives_in_order_with_its_trace() {
    let broker = Broker::shared().await;
    let seen = SeenWithTrace::default();
    let sink = Arc::clone(&seen);
    let mut settings = settings(&[]);
    settings.concurrency = 1;
    let consuming = Consuming::start(&broker, settings, move |envelope| {
        let sink = Arc::clone(&sink);
        async move {
            sink.lock().unwrap().push((envelope, trace::current().map(TraceParent::trace_id)));
            Outcome::Ack
        }
    })
    .await;
    let parent = TraceParent::start();
    let events: Vec<_> = (0..500).map(|_| Envelope { trace_parent: Some(parent), ..event() }).collect();
    Publisher::new(broker.connector.clone()).publish_all(&events).await.unwrap();
    until("all have arrived", async || seen.lock().unwrap().len() == events.len()).await;
    consuming.stop().await;
    for ((arrived, trace_id), sent) in seen.lock().unwrap().iter().zip(&events) {
        assert_eq!(arrived, sent);
        assert_eq!(*trace_id, Some(parent.trace_id()));
    }
    assert_eq!(depth(&broker, QUEUE).await, 0);
}

#[tokio::test]
async fn a_consumer_that_has_been_idle_subscribes_anew_and_has_the_binding_again_that_somebody_removed() {
    let broker = Broker::shared().await;
    let seen: Seen = Arc::default();
    let sink = Arc::clone(&seen);
    let mut settings = settings(&[]);
    settings.idle = Duration::from_millis(200);
    let consuming = Consuming::start(&broker, settings, move |envelope| {
        sink.lock().unwrap().push(envelope.id);
        async { Outcome::Ack }
    })
    .await;
    let channel = broker.connector.channel().await.unwrap();
    let arguments = FieldTable::default();
    channel.queue_unbind(QUEUE.into(), EXCHANGE.into(), "session.revoked".into(), arguments).await.unwrap();

    let publisher = Publisher::new(broker.connector.clone());
    until("events arrive again", async || {
        publisher.publish(&event()).await.unwrap();
        !seen.lock().unwrap().is_empty()
    })
    .await;
    consuming.stop().await;
}

#[tokio::test]
async fn nothing_confirmed_is_lost_when_the_broker_dies_in_the_middle() {
    let server = tokio::task::spawn_blocking(|| servers::RabbitMq::start().unwrap()).await.unwrap();
    let broker = Broker::at(&server.virtual_host());
    let seen: Seen = Arc::default();
    let sink = Arc::clone(&seen);
    let consuming = Consuming::start(&broker, settings(&[]), move |envelope| {
        let sink = Arc::clone(&sink);
        async move {
            sink.lock().unwrap().push(envelope.id);
            Outcome::Ack
        }
    })
    .await;

    // The broker's own tables reach the disk within two seconds of a change; killed before, it forgets that the queue was
    // ever bound. After an orderly restart they are there for good.
    let mut server = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.stop()?;
        server.restart().map(|()| server)
    })
    .await
    .unwrap()
    .unwrap();
    let publisher = Publisher::new(broker.connector.clone());
    let publishing = tokio::spawn(async move {
        let (mut confirmed, mut failures) = (BTreeSet::new(), 0);
        while confirmed.len() < 400 || failures == 0 {
            let event = event();
            while let Err(error) = publisher.publish(&event).await {
                failures += 1;
                assert!(failures < 2000, "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            confirmed.insert(event.id);
        }
        (confirmed, failures)
    });
    until("a hundred have arrived", async || seen.lock().unwrap().len() >= 100).await;
    let _server = tokio::task::spawn_blocking(move || {
        server.kill();
        server.restart().map(|()| server)
    })
    .await
    .unwrap()
    .unwrap();
    let (confirmed, failures) = tokio::time::timeout(SOON, publishing).await.unwrap().unwrap();
    assert!(failures > 0, "the broker was never away");
    until("everything confirmed has arrived", async || {
        let seen: BTreeSet<_> = seen.lock().unwrap().iter().copied().collect();
        confirmed.is_subset(&seen)
    })
    .await;
    consuming.stop().await;
}

#[tokio::test]
async fn an_event_that_fails_comes_back_after_each_delay_and_then_becomes_a_dead_letter() {
    let broker = Broker::shared().await;
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let sink = Arc::clone(&times);
    let settings = settings(&[200, 600]);
    let dead_letters = settings.topology().dead_letters();
    let consuming = Consuming::start(&broker, settings, move |_| {
        sink.lock().unwrap().push(Instant::now());
        async { Outcome::Retry("no stamp".into()) }
    })
    .await;
    Publisher::new(broker.connector.clone()).publish(&event()).await.unwrap();
    until("there is a dead letter", async || depth(&broker, &dead_letters).await == 1).await;
    consuming.stop().await;
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 3);
    assert!(times[1] - times[0] >= Duration::from_millis(200), "{:?}", times[1] - times[0]);
    assert!(times[2] - times[1] >= Duration::from_millis(600), "{:?}", times[2] - times[1]);
    assert_eq!(depth(&broker, QUEUE).await, 0);
}

#[tokio::test]
async fn poison_is_laid_aside_and_holds_up_nothing() {
    let broker = Broker::shared().await;
    let handled: Arc<Mutex<BTreeMap<EventId, u32>>> = Arc::default();
    let sink = Arc::clone(&handled);
    let (fatal, fine) = (event(), event());
    let (panics, refused) = (fatal.id, event());
    let refused_id = refused.id;
    let settings = settings(&[50]);
    let dead_letters = settings.topology().dead_letters();
    let consuming = Consuming::start(&broker, settings, move |envelope| {
        *sink.lock().unwrap().entry(envelope.id).or_default() += 1;
        async move {
            assert_ne!(envelope.id, panics, "poison");
            if envelope.id == refused_id { Outcome::DeadLetter("not for us".into()) } else { Outcome::Ack }
        }
    })
    .await;

    let channel = broker.connector.channel().await.unwrap();
    channel
        .basic_publish(
            "chat.events".into(),
            "session.revoked".into(),
            BasicPublishOptions::default(),
            b"no event at all",
            BasicProperties::default(),
        )
        .await
        .unwrap();
    let publisher = Publisher::new(broker.connector.clone());
    for event in [&fatal, &refused, &fine] {
        publisher.publish(event).await.unwrap();
    }
    until("three dead letters lie there", async || depth(&broker, &dead_letters).await == 3).await;
    until("the good one is handled", async || handled.lock().unwrap().contains_key(&fine.id)).await;
    consuming.stop().await;
    let handled = handled.lock().unwrap().clone();
    assert_eq!((handled[&fatal.id], handled[&refused.id], handled[&fine.id]), (2, 1, 1));
    assert_eq!(depth(&broker, QUEUE).await, 0);
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand_and_leaves_the_rest_in_the_queue() {
    let broker = Broker::shared().await;
    let (began, finished): (Seen, Seen) = Default::default();
    let (began_sink, finished_sink) = (Arc::clone(&began), Arc::clone(&finished));
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let handler_gate = Arc::clone(&gate);
    let mut settings = settings(&[]);
    settings.concurrency = 2;
    let consuming = Consuming::start(&broker, settings, move |envelope| {
        let (began, finished, gate) = (Arc::clone(&began_sink), Arc::clone(&finished_sink), Arc::clone(&handler_gate));
        async move {
            began.lock().unwrap().push(envelope.id);
            gate.acquire().await.unwrap().forget();
            finished.lock().unwrap().push(envelope.id);
            Outcome::Ack
        }
    })
    .await;
    let events: Vec<_> = (0..10).map(|_| event()).collect();
    Publisher::new(broker.connector.clone()).publish_all(&events).await.unwrap();
    until("two are in hand", async || began.lock().unwrap().len() == 2).await;
    consuming.shutdown.soft().cancel();
    gate.add_permits(10);
    consuming.stop().await;
    assert_eq!(finished.lock().unwrap().len(), 2);
    until("the rest is back", async || depth(&broker, QUEUE).await == 8).await;
}
