//! A replica is killed, and the others go on with what it had in hand.

use std::collections::{BTreeMap, BTreeSet};

use contract::event::{Envelope, Event};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::time::Instant;

use super::client::{Client, PATIENCE, Socket};
use super::durability::start;
use super::events::Listener;
use super::platform::{Person, Platform};

/// So many messages for each of these conversations, in turn.
fn burst(conversations: &[String], who: &str, count: usize) -> Vec<Value> {
    let message = |n: usize, conversation: &String| json!({"conversationId": conversation, "text": format!("{who} {n}"), "nonce": format!("{who}-{n}")});
    (0..count).flat_map(|n| conversations.iter().map(move |conversation| message(n, conversation))).collect()
}

/// Emits all without waiting for any to be acknowledged.
async fn fire(socket: &Socket, bodies: Vec<Value>) {
    for body in bodies {
        socket.fire("message:send", json!([body])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_on_a_replica_that_died_is_offline_within_a_minute_and_the_others_miss_nothing() {
    let platform = Platform::new();
    let folder = tempdir().unwrap();
    let mut dies = start(&platform, &folder).await;
    let (two, three) = (platform.start().await, platform.start().await);
    let (ada, bob, cleo, dan) = (Person::new(), Person::new(), Person::new(), Person::new());
    let group = two.group(&ada, &[&bob, &cleo, &dan]).await;
    let client = Client::start();
    let of_bob = client.connect(&two.url, &bob.token).await;
    let of_cleo = client.connect(&three.url, &cleo.token).await;
    let of_ada = client.connect(&dies.url(), &ada.token).await;
    // One of Dan's sockets dies with the replica, the other does not.
    let _of_dan = client.connect(&dies.url(), &dan.token).await;
    let also_of_dan = client.connect(&three.url, &dan.token).await;
    for socket in [&of_bob, &of_cleo] {
        for user in [ada.id, dan.id] {
            socket.wait_until("presence", |told| *told == json!({"userId": user, "online": true})).await;
        }
    }

    fire(&of_ada, burst(std::slice::from_ref(&group), "ada", 1_000)).await;
    of_cleo.wait_for("message:new", 50).await;
    dies.kill().unwrap();
    let killed = Instant::now();
    of_ada.wait_for("disconnect", 1).await;
    // What it had stored and could not announce any more is found, by everybody, once and in order.
    let stored = two.history(&bob, &group).await;
    assert!((50..1_000).contains(&stored.len()), "{} were stored", stored.len());
    for socket in [&of_bob, &of_cleo, &also_of_dan] {
        assert_eq!(socket.wait_for("message:new", stored.len()).await, stored);
    }
    let went = |user| json!({"userId": user, "online": false});
    for socket in [&of_bob, &of_cleo] {
        while !socket.received("presence").contains(&went(ada.id)) {
            assert!(killed.elapsed() < PATIENCE, "she is still said to be online");
            socket.more_than(socket.events_from(0).len()).await;
        }
        assert!(!socket.received("presence").contains(&went(dan.id)), "Dan is still there");
    }
    // The other socket's end is the end of Dan's presence, whatever the dead replica left behind.
    also_of_dan.disconnect().await;
    of_bob.wait_until("presence", |told| *told == went(dan.id)).await;
    two.stop().await;
    three.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_two_replicas_leave_in_order_and_go_on_when_the_one_that_sends_them_is_killed() {
    let platform = Platform::new();
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let listener = Listener::start(&platform.rabbitmq_uri, folders[0].path());
    let mut dies = start(&platform, &folders[0]).await;
    let replica = platform.start().await;
    listener.bound(&replica).await;
    let (ada, bob) = (Person::new(), Person::new());
    let client = Client::start();
    let of_ada = client.connect(&dies.url(), &ada.token).await;
    let of_bob = client.connect(&replica.url, &bob.token).await;
    let mut groups = Vec::new();
    for _ in 0..4 {
        groups.push(replica.group(&ada, &[&bob]).await);
    }

    let survivor = async {
        for portion in burst(&groups, "bob", 100).chunks(10) {
            // The database may keep a conversation for a write of the one that died, for a minute; who is refused sends again.
            let (mut left, deadline) = (portion.to_vec(), Instant::now() + PATIENCE * 2);
            while !left.is_empty() {
                let answers = of_bob.burst("message:send", left.clone()).await;
                let refused = answers.iter().filter(|(_, answer)| answer["ok"] != true);
                let refused: Vec<_> =
                    refused.inspect(|(_, answer)| assert_eq!(answer["error"]["status"], 503)).collect();
                assert!(refused.is_empty() || Instant::now() < deadline, "{refused:?}");
                left = refused.into_iter().map(|(place, _)| left[*place].clone()).collect();
            }
        }
    };
    let victim = async {
        fire(&of_ada, burst(&groups, "ada", 100)).await;
        of_ada.wait_for("message:new", 200).await;
        dies.kill().unwrap();
    };
    tokio::join!(survivor, victim);

    let mut stored = BTreeMap::new();
    for group in &groups {
        let history = replica.history(&bob, group).await;
        assert!(history.len() > 100, "the one that died has written as well");
        let seqs: Vec<u64> = history.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
        stored.insert(group.clone(), seqs);
    }
    let created = |heard: &[Envelope]| {
        let mut created = BTreeMap::<String, Vec<u64>>::new();
        for envelope in heard {
            if let Event::MessageCreated(event) = &envelope.event {
                created.entry(event.conversation_id.to_string()).or_default().push(event.seq);
            }
        }
        created
    };
    let all: usize = stored.values().map(Vec::len).sum();
    let heard = listener.until(|heard| created(heard).values().map(Vec::len).sum::<usize>() >= all).await;
    assert_eq!(created(&heard), stored, "of each conversation all, each first time in order");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_many_open_at_once_on_three_replicas_is_one_with_one_data_key() {
    let platform = Platform::new();
    let replicas = [platform.start().await, platform.start().await, platform.start().await];
    for _ in 0..5 {
        let (ada, bob) = (Person::new(), Person::new());
        let opening = (0..24).map(|n| {
            let (replica, ada, bob) = (&replicas[n % 3], &ada, &bob);
            async move {
                let (one, other) = if n % 2 == 0 { (ada, bob) } else { (bob, ada) };
                let conversation = replica.direct(one, other).await;
                // Somebody else may have opened it a moment ago, or another replica.
                replica.say(one, &conversation, &format!("first {n}")).await;
                conversation
            }
        });
        let opened: BTreeSet<String> = futures::future::join_all(opening).await.into_iter().collect();
        assert_eq!(opened.len(), 1);
        let conversation = opened.first().unwrap();
        let mut expected: Vec<String> = (0..24).map(|n| format!("first {n}")).collect();
        expected.sort();
        // One that has never held its key reads all that the others have sealed.
        let fresh = platform.start().await;
        for replica in replicas.iter().chain([&fresh]) {
            let history = replica.history(&bob, conversation).await;
            let mut texts: Vec<_> = history.iter().map(|message| message["text"].as_str().unwrap()).collect();
            texts.sort_unstable();
            assert_eq!(texts, expected);
        }
        fresh.stop().await;
    }
    for replica in replicas {
        replica.stop().await;
    }
}
