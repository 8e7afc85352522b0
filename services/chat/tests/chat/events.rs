//! What other services are told through the broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::event::{Envelope, Event};
use mongodb::bson::{Document, doc};
use runtime::messaging::{Connector, Consumer, ConsumerSettings, Outcome};
use runtime::shutdown::Shutdown;
use serde_json::json;

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform, Replica};

/// A queue of its own, and what came into it.
pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<Envelope>>>,
    shutdown: Shutdown,
}

impl Listener {
    pub(crate) fn start(uri: &str, folder: &std::path::Path) -> Self {
        let file = folder.join("listener-uri");
        std::fs::write(&file, uri).unwrap();
        let mut settings = ConsumerSettings::new("listener", Event::KINDS);
        // One after the other, as they come.
        settings.concurrency = 1;
        let consumer = Consumer::new(Connector::new(file, "listener"), settings);
        let (heard, shutdown) = (Arc::<Mutex<Vec<Envelope>>>::default(), Shutdown::new());
        let (hearing, until) = (Arc::clone(&heard), shutdown.clone());
        tokio::spawn(consumer.run(until, move |envelope| {
            let mut heard = hearing.lock().unwrap();
            // At least once is promised; a consumer knows by the id what it has had.
            if heard.iter().all(|known| known.id != envelope.id) {
                heard.push(envelope);
            }
            drop(heard);
            std::future::ready(Outcome::Ack)
        }));
        Self { heard, shutdown }
    }

    /// Waits until the queue is bound, which shows by events that come.
    pub(crate) async fn bound(&self, replica: &Replica) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.heard.lock().unwrap().is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "the queue is not bound");
            replica.direct(&Person::new(), &Person::new()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn until(&self, enough: impl Fn(&[Envelope]) -> bool) -> Vec<Envelope> {
        let deadline = tokio::time::Instant::now() + PATIENCE * 2;
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if enough(&heard) {
                return heard;
            }
            assert!(tokio::time::Instant::now() < deadline, "heard only {heard:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shutdown.soft().cancel();
    }
}

fn is_of(kind: &'static str) -> impl Fn(&&Envelope) -> bool {
    move |envelope| envelope.event.kind() == kind
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_with_who_was_there_and_without_the_text() {
    let platform = Platform::new();
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::start(&platform.rabbitmq_uri, folder.path());
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let client = Client::start();
    listener.bound(&replica).await;
    let _here = client.connect(&replica.url, &bob.token).await;
    let group = replica.group(&ada, &[&bob]).await;
    let message = replica.say(&ada, &group, "hush").await;
    let at = format!("/conversations/{group}/messages/{}", message["id"].as_str().unwrap());
    replica.call(&ada, reqwest::Method::PATCH, &at, Some(json!({"text": "hush now"}))).await;
    replica.post(&ada, &format!("/conversations/{group}/members"), json!({"userIds": [cleo.id]})).await;
    replica.call(&cleo, reqwest::Method::DELETE, &format!("/conversations/{group}/members/{}", cleo.id), None).await;
    replica.call(&ada, reqwest::Method::DELETE, &at, None).await;

    let heard = listener.until(|heard| heard.iter().any(|envelope| is_of("message.deleted")(&envelope))).await;
    let heard = if heard.iter().any(|e| is_of("conversation.member-removed")(&e)) {
        heard
    } else {
        listener.until(|heard| heard.iter().any(|envelope| is_of("conversation.member-removed")(&envelope))).await
    };
    for kind in ["conversation.created", "message.edited", "conversation.member-added"] {
        assert!(heard.iter().any(|envelope| is_of(kind)(&envelope)), "{kind}");
    }
    let created = heard.iter().find(is_of("message.created")).unwrap();
    let Event::MessageCreated(data) = &created.event else { panic!("{created:?}") };
    let mut members = [ada.id, bob.id];
    members.sort_unstable();
    let mut told = data.member_ids.clone();
    told.sort_unstable();
    assert_eq!(told, members);
    assert_eq!(data.online_member_ids, [bob.id]);
    assert_eq!((data.seq, data.sender_id), (1, ada.id));
    assert!(created.trace_parent.is_some());
    assert!(!serde_json::to_string(&heard).unwrap().contains("hush"));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_something_is_told_of_when_they_have_read_on_and_nobody_else() {
    let platform = Platform::new();
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::start(&platform.rabbitmq_uri, folder.path());
    let replica = platform.start().await;
    let (ada, here, away) = (Person::new(), Person::new(), Person::new());
    let client = Client::start();
    listener.bound(&replica).await;
    let _socket = client.connect(&replica.url, &here.token).await;
    let group = replica.group(&ada, &[&here, &away]).await;
    for text in ["one", "two", "three"] {
        replica.say(&ada, &group, text).await;
    }
    let read = async |who: &Person, seq: u64| {
        let path = format!("/conversations/{group}/read");
        assert_eq!(replica.call(who, reqwest::Method::PUT, &path, Some(json!({"seq": seq}))).await.0, 200);
    };
    read(&here, 3).await;
    read(&away, 2).await;
    read(&away, 2).await;
    read(&away, 99).await;
    // Of what was missed before nothing is left, so this reading is nobody's business.
    replica.call(&ada, reqwest::Method::PATCH, &format!("/conversations/{group}"), Some(json!({"title": "New"}))).await;
    read(&away, 4).await;
    replica.post(&ada, &format!("/conversations/{group}/members"), json!({"userIds": [Person::new().id]})).await;

    // Events of conversations come in their order: what was told before this one has come.
    let heard = listener.until(|heard| heard.iter().any(|e| is_of("conversation.member-added")(&e))).await;
    let reads: Vec<_> = heard
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::ConversationRead(read) => Some((read.user_id, read.seq, read.conversation_id.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(reads, [(away.id, 2, group.clone()), (away.id, 3, group.clone())]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_a_broker_that_is_away_and_none_is_lost() {
    let mut broker = servers::RabbitMq::start().unwrap();
    let platform = Platform::with(servers::Redis::shared().database(), broker.virtual_host());
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::start(&platform.rabbitmq_uri, folder.path());
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let mut before = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !listener.heard.lock().unwrap().iter().any(|envelope| is_of("message.created")(&envelope)) {
        assert!(tokio::time::Instant::now() < deadline, "nothing comes through");
        before += 1;
        replica.say(&ada, &conversation, "is anybody there?").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    broker.stop().unwrap();
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    let bodies =
        (0..50).map(|n| json!({"conversationId": conversation, "text": "on paper", "nonce": n.to_string()})).collect();
    let answers = socket.burst("message:send", bodies).await;
    assert!(answers.iter().all(|(_, answer)| answer["ok"] == true), "the broker is not needed to send");
    let messages = platform.database().await.collection::<Document>("messages");
    let pending = async || messages.count_documents(doc! {"outbox.0": {"$exists": true}}).await.unwrap();
    assert!(pending().await >= 50);
    broker.restart().unwrap();

    let sent = |heard: &[Envelope]| -> Vec<u64> {
        let mut seqs: Vec<u64> = heard
            .iter()
            .filter_map(|envelope| match &envelope.event {
                Event::MessageCreated(data) => Some(data.seq),
                _ => None,
            })
            .collect();
        seqs.sort_unstable();
        seqs
    };
    let last = before + 50;
    let heard = listener.until(|heard| sent(heard).iter().filter(|seq| **seq > before).count() == 50).await;
    assert_eq!(
        sent(&heard).into_iter().filter(|seq| *seq > before).collect::<Vec<_>>(),
        (before + 1..=last).collect::<Vec<_>>()
    );
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while pending().await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "events stay in the outbox");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replica.stop().await;
}
