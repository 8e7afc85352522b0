//! Several replicas of the service.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform};

fn burst(conversation: &str, who: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"conversationId": conversation, "text": format!("{who} {n}"), "nonce": n.to_string()}))
        .collect()
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["changeSeq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_deliver_to_each_others_sockets() {
    let platform = Platform::new();
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = one.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let of_bob = client.connect(&two.url, &bob.token).await;
    of_ada.wait_until("presence", |told| *told == json!({"userId": bob.id, "online": true})).await;

    of_ada.burst("message:send", burst(&conversation, "ada", 20)).await;
    of_bob.wait_for("message:new", 20).await;
    of_bob.burst("message:send", burst(&conversation, "bob", 20)).await;
    let received = of_ada.wait_for("message:new", 40).await;
    assert_eq!(seqs(&received), (1..=40).collect::<Vec<_>>());
    assert_eq!(of_bob.wait_for("message:new", 40).await, received);
    of_bob.ask("typing", json!({"conversationId": conversation, "active": true})).await;
    of_ada.wait_for("typing", 1).await;
    // Who reads on one device has read on the other, whichever replica that is at.
    let also_of_bob = client.connect(&one.url, &bob.token).await;
    of_bob.ask("conversation:read", json!({"conversationId": conversation, "seq": 40})).await;
    let read = json!({"conversationId": conversation, "userId": bob.id, "seq": 40});
    assert_eq!(also_of_bob.wait_for("conversation:read", 1).await, std::slice::from_ref(&read));
    assert_eq!(of_ada.wait_for("conversation:read", 1).await, [read]);
    let (_, seen) = one.get(&bob, &format!("/conversations/{conversation}")).await;
    assert_eq!((&seen["own"]["unread"], &seen["read"][bob.id.to_string()]), (&json!(0), &json!(40)));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_ends_the_sockets_of_its_session_on_every_replica_and_no_others() {
    let platform = Platform::new();
    let replicas = [platform.start().await, platform.start().await];
    let (phone, laptop) = (Person::new(), Person::new());
    let laptop = Person { id: phone.id, ..laptop }.renewed();
    let client = Client::start();
    let (mut end, mut stay) = (Vec::new(), Vec::new());
    for replica in &replicas {
        end.push(client.connect(&replica.url, &phone.token).await);
        stay.push(client.connect(&replica.url, &laptop.token).await);
    }
    let mut redis =
        redis::Client::open(platform.redis_url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let word = json!({"sid": phone.session, "userId": phone.id}).to_string();
    redis::cmd("PUBLISH").arg("auth:revocations").arg(word).exec_async(&mut redis).await.unwrap();
    for socket in &end {
        assert_eq!(socket.wait_for("session:revoked", 1).await, [json!({"sessionId": phone.session})]);
        socket.wait_for("disconnect", 1).await;
    }
    for socket in &stay {
        assert_eq!(socket.ask("resume", json!({"cursors": {}})).await["ok"], true);
        assert!(socket.received("session:revoked").is_empty());
    }
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_wrap_data_keys_anew_at_the_same_time_leave_all_readable() {
    let platform = Platform::new();
    let replicas = [platform.start().await, platform.start().await];
    let (ada, bob) = (Person::new(), Person::new());
    let mut groups = Vec::new();
    for n in 0..40 {
        let group = replicas[n % 2].group(&ada, &[&bob]).await;
        replicas[n % 2].say(&ada, &group, "kept").await;
        groups.push(group);
    }
    platform.write_message_keys("mk-2", &[("mk-1", 1), ("mk-2", 2)]);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let conversations = platform.database().await.collection::<Document>("conversations");
    while conversations.count_documents(doc! {"dataKey.keyId": "mk-2"}).await.unwrap() < 40 {
        assert!(tokio::time::Instant::now() < deadline, "data keys are still wrapped by the old key");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for replica in &replicas {
        while replica.metric("chat_data_keys_to_rewrap").await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "some are said to be left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(replica.metric("chat_data_keys_lost_total").await, 0);
    }
    // Without the old key, and without any key kept in memory.
    platform.write_message_keys("mk-2", &[("mk-2", 2)]);
    let fresh = platform.start().await;
    for group in &groups {
        assert_eq!(fresh.history(&bob, group).await[0]["text"], "kept");
    }
    fresh.stop().await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_service_has_in_redis_are_enough() {
    // As docs/reference/wiring.md gives them.
    let rights = "~chat:* %R~auth:revoked:* resetchannels &chat:* &auth:* +@all -@dangerous";
    let redis =
        servers::Redis::start_with_users(&format!("user default off\nuser chat on >secret {rights}\n")).unwrap();
    let platform = Platform::with(redis.url_for("chat", "secret"), servers::RabbitMq::shared().virtual_host());
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = one.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let of_bob = client.connect(&two.url, &bob.token).await;
    of_ada.wait_until("presence", |told| told["online"] == true).await;
    of_ada.ask("typing", json!({"conversationId": conversation, "active": true})).await;
    of_bob.wait_for("typing", 1).await;
    of_bob.disconnect().await;
    of_ada.wait_until("presence", |told| told["online"] == false).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_on_two_replicas_at_once_leave_no_gap_and_everybody_sees_the_same_order() {
    let platform = Platform::new();
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = one.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let of_bob = client.connect(&two.url, &bob.token).await;

    // In small portions, so that the transactions of both meet.
    let talk = async |socket: &super::client::Socket, who: &str| {
        for portion in burst(&conversation, who, 60).chunks(4) {
            let answers = socket.burst("message:send", portion.to_vec()).await;
            assert!(answers.iter().all(|(_, answer)| answer["ok"] == true), "{answers:?}");
        }
    };
    tokio::join!(talk(&of_ada, "ada"), talk(&of_bob, "bob"));
    let seen = of_ada.wait_for("message:new", 120).await;
    assert_eq!(seqs(&seen), (1..=120).collect::<Vec<_>>());
    assert_eq!(of_bob.wait_for("message:new", 120).await, seen);
    let of = |who: &str| -> Vec<usize> {
        let texts = seen.iter().filter_map(|message| message["text"].as_str().unwrap().strip_prefix(who));
        texts.map(|n| n.trim().parse().unwrap()).collect()
    };
    assert_eq!(of("ada"), (0..60).collect::<Vec<_>>());
    assert_eq!(of("bob"), (0..60).collect::<Vec<_>>());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_connected_misses_nothing_while_redis_is_away() {
    let mut redis = servers::Redis::start().unwrap();
    let platform = Platform::with(redis.url(), servers::RabbitMq::shared().virtual_host());
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = one.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let of_bob = client.connect(&two.url, &bob.token).await;
    of_ada.burst("message:send", burst(&conversation, "before", 3)).await;
    of_bob.wait_for("message:new", 3).await;

    redis.kill();
    let bodies =
        (0..10).map(|n| json!({"conversationId": conversation, "text": "dark", "nonce": format!("d{n}")})).collect();
    let answers = of_ada.burst("message:send", bodies).await;
    assert!(answers.iter().all(|(_, answer)| answer["ok"] == true), "Redis is not needed to send");
    // Found by looking at the database, Redis or not.
    let received = of_bob.wait_for("message:new", 13).await;
    assert_eq!(seqs(&received), (1..=13).collect::<Vec<_>>());
    redis.restart().unwrap();
    let after = json!({"conversationId": conversation, "text": "light", "nonce": "l"});
    assert_eq!(of_ada.ask("message:send", after).await["ok"], true);
    let received = of_bob.wait_for("message:new", 14).await;
    assert_eq!(seqs(&received), (1..=14).collect::<Vec<_>>());
    assert!(of_bob.received("disconnect").is_empty());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_stored_but_never_announced_is_delivered_all_the_same() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let of_bob = client.connect(&replica.url, &bob.token).await;
    // Another replica on another Redis: what it stores, nobody announces here.
    let other_redis = servers::Redis::start().unwrap();
    let silent = platform.apart(other_redis.url()).start().await;
    for n in 0..3 {
        silent.say(&ada, &conversation, &format!("silent {n}")).await;
    }
    let received = of_bob.wait_for("message:new", 3).await;
    assert_eq!(seqs(&received), [1, 2, 3]);
    silent.stop().await;
    replica.stop().await;
}
