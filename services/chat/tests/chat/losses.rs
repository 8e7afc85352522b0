//! What Redis, which carries news from one replica to another, may lose, and what is shown to who stays connected all the same.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use runtime::clock::Clock;
use serde_json::{Value, json};

use super::client::{Client, PATIENCE};
use super::platform::{Person, Platform, Replica};

/// Another replica on another Redis: what it stores, nobody announces to the first one.
async fn silent_beside(platform: &Platform) -> (Replica, servers::Redis) {
    let redis = servers::Redis::start().unwrap();
    (platform.apart(redis.url()).start().await, redis)
}

fn members(conversation: &Value) -> Vec<&Value> {
    conversation["members"].as_array().unwrap().iter().map(|member| &member["userId"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_was_opened_but_never_announced_is_new_to_its_members_all_the_same() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (silent, _redis) = silent_beside(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let client = Client::start();
    let of_bob = client.connect(&replica.url, &bob.token).await;
    let conversation = silent.direct(&ada, &bob).await;
    let told = of_bob.wait_for("conversation:new", 1).await.remove(0);
    assert_eq!((&told["id"], &told["conversationId"], &told["seq"]), (&json!(conversation), &told["id"], &json!(0)));
    // And what is said in it comes in its order.
    silent.say(&ada, &conversation, "silent").await;
    replica.say(&ada, &conversation, "aloud").await;
    let said = of_bob.wait_for("message:new", 2).await;
    assert_eq!((&said[0]["text"], &said[1]["text"]), (&json!("silent"), &json!("aloud")));
    assert_eq!(of_bob.received("conversation:new").len(), 1);
    silent.stop().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_added_or_removed_without_an_announcement_is_told_all_the_same() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (silent, _redis) = silent_beside(&platform).await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    let client = Client::start();
    let of_bob = client.connect(&replica.url, &bob.token).await;
    let of_cleo = client.connect(&replica.url, &cleo.token).await;
    replica.say(&ada, &group, "aloud").await;
    of_bob.wait_for("message:new", 1).await;

    let path = format!("/conversations/{group}/members");
    assert_eq!(silent.post(&ada, &path, json!({"userIds": [cleo.id]})).await.0, 200);
    let told = of_cleo.wait_for("conversation:new", 1).await.remove(0);
    assert!(told["id"] == json!(group) && members(&told).contains(&&json!(cleo.id)), "{told}");
    let told = of_bob.wait_for("conversation:updated", 1).await.remove(0);
    assert!(members(&told).contains(&&json!(cleo.id)) && told["seq"] == 2, "{told}");

    assert_eq!(silent.call(&ada, Method::DELETE, &format!("{path}/{}", cleo.id), None).await.0, 204);
    let told = of_cleo.wait_until("conversation:updated", |told| !members(told).contains(&&json!(cleo.id))).await;
    assert_eq!(told["seq"], 3);
    of_bob.wait_until("conversation:updated", |told| told["seq"] == 3).await;

    assert_eq!(silent.call(&ada, Method::DELETE, &format!("/conversations/{group}"), None).await.0, 204);
    of_bob.wait_until("conversation:updated", |told| members(told).is_empty()).await;
    assert!(of_cleo.received("message:new").is_empty());
    silent.stop().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_reaches_a_replica_that_has_just_started_and_whose_clock_is_ahead() {
    let platform = Platform::new();
    let behind = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = behind.direct(&ada, &bob).await;
    behind.say(&ada, &conversation, "before").await;
    let ahead = platform.start_with(Clock::manual(Timestamp::now() + SignedDuration::from_mins(1))).await;
    let client = Client::start();
    let of_bob = client.connect(&ahead.url, &bob.token).await;
    for n in 0..3 {
        behind.say(&ada, &conversation, &format!("late {n}")).await;
    }
    let received = of_bob.wait_for("message:new", 3).await;
    let texts: Vec<_> = received.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["late 0", "late 1", "late 2"]);
    behind.stop().await;
    ahead.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_mark_that_nobody_heard_of_is_shown_once_there_is_a_subscription_again() {
    let mut redis = servers::Redis::start().unwrap();
    let platform = Platform::with(redis.url(), servers::RabbitMq::shared().virtual_host());
    let replica = platform.start().await;
    let (silent, _redis) = silent_beside(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&replica.url, &ada.token).await;
    replica.say(&ada, &conversation, "read this").await;
    of_ada.wait_for("message:new", 1).await;
    let path = format!("/conversations/{conversation}/read");
    assert_eq!(silent.call(&bob, Method::PUT, &path, Some(json!({"seq": 1}))).await.0, 200);
    redis.kill();
    redis.restart().unwrap();
    let bob_id = bob.id.to_string();
    let told = of_ada.wait_until("conversation:updated", |told| told["read"][&bob_id] == 1).await;
    assert_eq!((&told["id"], &told["seq"]), (&json!(conversation), &json!(1)));
    assert!(of_ada.received("conversation:read").is_empty() && of_ada.received("disconnect").is_empty());
    assert_eq!(of_ada.received("message:new").len(), 1);
    silent.stop().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_somebody_came_or_went_is_noticed_although_nobody_told() {
    let platform = Platform::new();
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob) = (Person::new(), Person::new());
    one.direct(&ada, &bob).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let also_of_ada = client.connect(&two.url, &ada.token).await;
    let mut redis =
        redis::Client::open(platform.redis_url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    // As a replica leaves it that dies before it can say who came, and then who went.
    let until = (Timestamp::now() + Duration::from_hours(1)).as_millisecond();
    let bob_id = bob.id.to_string();
    redis::cmd("ZADD").arg("chat:online").arg(until).arg(&bob_id).exec_async(&mut redis).await.unwrap();
    for socket in [&of_ada, &also_of_ada] {
        socket.wait_until("presence", |told| *told == json!({"userId": bob.id, "online": true})).await;
    }
    redis::cmd("ZREM").arg("chat:online").arg(&bob_id).exec_async(&mut redis).await.unwrap();
    for socket in [&of_ada, &also_of_ada] {
        socket.wait_until("presence", |told| *told == json!({"userId": bob.id, "online": false})).await;
        assert_eq!(socket.received("presence").iter().filter(|told| told["userId"] == bob_id).count(), 2);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_gone_after_redis_was_away_for_longer_than_presence_lives() {
    let mut redis = servers::Redis::start().unwrap();
    let platform = Platform::with(redis.url(), servers::RabbitMq::shared().virtual_host());
    let (one, two) = (platform.start().await, platform.start().await);
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    one.group(&ada, &[&bob, &cleo]).await;
    let client = Client::start();
    let of_ada = client.connect(&one.url, &ada.token).await;
    let of_bob = client.connect(&two.url, &bob.token).await;
    of_ada.wait_until("presence", |told| *told == json!({"userId": bob.id, "online": true})).await;
    redis.kill();
    // No less makes what was written before expire.
    tokio::time::sleep(Duration::from_secs(42)).await;
    redis.restart().unwrap();
    // That Cleo is there is noticed by comparing who is online, which begins after every replica has said who is.
    let mut redis =
        redis::Client::open(platform.redis_url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let until = (Timestamp::now() + Duration::from_hours(1)).as_millisecond();
    redis::cmd("ZADD").arg("chat:online").arg(until).arg(cleo.id.to_string()).exec_async(&mut redis).await.unwrap();
    for (socket, other) in [(&of_ada, bob.id), (&of_bob, ada.id)] {
        socket.wait_until("presence", |told| *told == json!({"userId": cleo.id, "online": true})).await;
        assert!(!socket.received("presence").contains(&json!({"userId": other, "online": false})));
        assert!(socket.received("disconnect").is_empty());
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_unheard_is_found_even_if_it_cannot_be_looked_up_at_first() {
    const MAY_NOT: &str = "~chat:* resetchannels &chat:* &auth:* +@all -@dangerous";
    const MAY: &str = "%R~auth:revoked:*";
    let users = format!("user default on nopass ~* &* +@all\nuser chat on >secret {MAY_NOT} {MAY}\n");
    let redis = servers::Redis::start_with_users(&users).unwrap();
    let platform = Platform::with(redis.url_for("chat", "secret"), servers::RabbitMq::shared().virtual_host());
    let replica = platform.start().await;
    let ada = Person::new();
    let client = Client::start();
    let socket = client.connect(&replica.url, &ada.token).await;
    let admin = redis::Client::open(format!("redis://{}", redis.address())).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();

    let without = ["SETUSER", "chat", "resetkeys", "~chat:*"];
    redis::cmd("ACL").arg(&without).exec_async(&mut admin).await.unwrap();
    let revoked = format!("auth:revoked:{}", ada.session);
    redis::cmd("SET").arg(revoked).arg(1).exec_async(&mut admin).await.unwrap();
    // Nobody announces it, and who begins to listen again is refused the look.
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec_async(&mut admin).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut admin).await.unwrap();
        if format!("{log:?}").contains("auth:revoked:") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody looks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(socket.received("session:revoked").is_empty());
    redis::cmd("ACL").arg("SETUSER").arg("chat").arg(MAY).exec_async(&mut admin).await.unwrap();
    socket.wait_for("session:revoked", 1).await;
    socket.wait_for("disconnect", 1).await;
    replica.stop().await;
}
