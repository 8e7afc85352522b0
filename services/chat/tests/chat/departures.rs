//! What becomes of conversations when an account ends.

use contract::event::{Envelope, UserDeleted};
use jiff::Timestamp;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use mongodb::bson::{Document, doc};
use reqwest::Method;
use runtime::messaging::{Connector, Publisher};
use serde_json::{Value, json};

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform, Replica};

/// What other services would publish.
struct Elsewhere {
    broker: Connector,
    publisher: Publisher,
    _folder: tempfile::TempDir,
}

impl Elsewhere {
    async fn of(platform: &Platform) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("uri");
        std::fs::write(&file, &platform.rabbitmq_uri).unwrap();
        let broker = Connector::new(file, "elsewhere");
        let elsewhere = Self { publisher: Publisher::new(broker.clone()), broker, _folder: folder };
        // What is published before the queue is bound goes nowhere.
        until("the queue has a consumer", async || elsewhere.consumers().await.is_some_and(|count| count > 0)).await;
        elsewhere
    }

    async fn consumers(&self) -> Option<u32> {
        let channel = self.broker.channel().await.ok()?;
        let (queue, options) = (chat::departures::QUEUE, QueueDeclareOptions::durable().passive());
        Some(channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?.consumer_count())
    }

    async fn delete(&self, who: &Person) {
        let gone = UserDeleted { user_id: who.id }.into();
        let envelope = Envelope::new("auth", gone, None, Timestamp::now(), &mut rand::rng());
        self.publisher.publish(&envelope).await.unwrap();
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn members(replica: &Replica, who: &Person, conversation: &str) -> Vec<(String, String)> {
    let (_, body) = replica.get(who, &format!("/conversations/{conversation}")).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let members = body["members"].as_array().cloned().unwrap_or_default();
    members.iter().map(|member| (text(&member["userId"]), text(&member["role"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_leaves_their_groups_to_others_and_stays_in_what_was_said() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::named("ada"), Person::new(), Person::new());
    let client = Client::start();
    let of_cleo = client.connect(&replica.url, &cleo.token).await;
    let group = replica.group(&ada, &[&cleo, &bob]).await;
    let role = json!({"role": "admin"});
    replica.call(&ada, Method::PATCH, &format!("/conversations/{group}/members/{}", bob.id), Some(role)).await;
    let direct = replica.direct(&ada, &bob).await;
    let alone = replica.group(&ada, &[]).await;
    replica.say(&ada, &group, "I was here").await;
    replica.say(&ada, &direct, "so long").await;
    replica.call(&ada, Method::PUT, &format!("/conversations/{direct}/mute"), Some(json!({}))).await;
    replica.call(&ada, Method::PUT, &format!("/conversations/{direct}/read"), Some(json!({"seq": 1}))).await;

    let elsewhere = Elsewhere::of(&platform).await;
    elsewhere.delete(&ada).await;

    let is_out = async || members(&replica, &cleo, &group).await.iter().all(|(user, _)| *user != ada.id.to_string());
    until("Ada is out of the group", is_out).await;
    let mut left = members(&replica, &cleo, &group).await;
    left.sort_by_key(|(_, role)| role.clone());
    let expected = [(cleo.id.to_string(), "member".to_owned()), (bob.id.to_string(), "owner".to_owned())];
    assert_eq!(left, expected, "the group goes to its admin");
    let told = of_cleo.wait_for("conversation:updated", 2).await;
    assert_eq!(told.last().unwrap()["members"].as_array().unwrap().len(), 2);

    let conversations = platform.database().await.collection::<Document>("conversations");
    let one = async |id: &str| conversations.find_one(doc! {"_id": id}).await.unwrap().unwrap();
    until("nobody is left in the last group", async || one(&alone).await.contains_key("deletedAt")).await;
    let has_own = async || {
        let direct = one(&direct).await;
        let me = ada.id.to_string();
        ["read", "mutes"].iter().any(|field| direct.get_document(field).unwrap().contains_key(&me))
    };
    until("what was hers alone is forgotten", async || !has_own().await).await;
    assert_eq!(members(&replica, &bob, &direct).await.len(), 2);
    assert_eq!(replica.history(&bob, &direct).await[0]["text"], "so long");
    let said = replica.history(&bob, &group).await.remove(0);
    assert_eq!((said["text"].as_str(), said["senderId"].as_str()), (Some("I was here"), Some(&*ada.id.to_string())));
    let mentioned = replica.say(&bob, &direct, "@ada are you there?").await;
    assert_eq!(mentioned["mentionIds"], Value::Null, "nobody has that name any more");

    let before = one(&group).await;
    elsewhere.delete(&ada).await;
    let late = replica.group(&ada, &[&bob]).await;
    elsewhere.delete(&ada).await;
    until("the later ones are dealt with", async || members(&replica, &bob, &late).await.len() == 1).await;
    assert_eq!(one(&group).await, before, "told twice, it changes nothing");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_ends_while_no_replica_runs_is_seen_to_by_the_next_one() {
    let platform = Platform::new();
    let (ada, bob) = (Person::new(), Person::new());
    let first = platform.start().await;
    let group = first.group(&ada, &[&bob]).await;
    let elsewhere = Elsewhere::of(&platform).await;
    first.stop().await;
    elsewhere.delete(&ada).await;
    let next = platform.start().await;
    until("Ada is out of the group", async || members(&next, &bob, &group).await.len() == 1).await;
    next.stop().await;
}
