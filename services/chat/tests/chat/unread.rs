//! What a member has not read yet, and whether they want to hear of it.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::platform::{Person, Platform, Replica};

async fn own(replica: &Replica, who: &Person, conversation: &str) -> Value {
    replica.get(who, &format!("/conversations/{conversation}")).await.1["own"].clone()
}

fn counts(own: &Value) -> (u64, u64) {
    (own["unread"].as_u64().unwrap(), own["unreadMentions"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_is_what_others_said_beyond_the_mark_and_did_not_delete() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::named("ada"), Person::named("bob"));
    let group = replica.group(&ada, &[&bob]).await;
    replica.get(&bob, "/conversations").await;
    assert_eq!(counts(&own(&replica, &bob, &group).await), (0, 0));
    let first = replica.say(&ada, &group, "one").await;
    replica.say(&ada, &group, "@bob: two").await;
    let third = replica.say(&ada, &group, "@bob: three").await;
    replica.say(&bob, &group, "mine").await;
    assert_eq!(counts(&own(&replica, &bob, &group).await), (3, 2));
    assert_eq!(counts(&own(&replica, &ada, &group).await), (1, 0));

    // A reaction raises the number of the conversation, and is not a message.
    let at = |message: &Value| format!("/conversations/{group}/messages/{}", message["id"].as_str().unwrap());
    replica.call(&bob, Method::PUT, &format!("{}/reactions/x", at(&first)), None).await;
    assert_eq!(counts(&own(&replica, &ada, &group).await), (1, 0));
    replica.call(&ada, Method::DELETE, &at(&third), None).await;
    assert_eq!(counts(&own(&replica, &bob, &group).await), (2, 1));

    let read = format!("/conversations/{group}/read");
    replica.call(&bob, Method::PUT, &read, Some(json!({"seq": first["seq"]}))).await;
    assert_eq!(counts(&own(&replica, &bob, &group).await), (1, 1));
    let (_, list) = replica.get(&bob, "/conversations").await;
    assert_eq!(counts(&list["items"][0]["own"]), (1, 1));
    replica.call(&bob, Method::PUT, &read, Some(json!({"seq": 99}))).await;
    assert_eq!(counts(&own(&replica, &bob, &group).await), (0, 0));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_has_missed_nothing_of_what_was_said_before() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    for n in 0..3 {
        replica.say(&ada, &group, &format!("{n}")).await;
    }
    replica.post(&ada, &format!("/conversations/{group}/members"), json!({"userIds": [cleo.id]})).await;
    assert_eq!(counts(&own(&replica, &cleo, &group).await), (0, 0));
    assert_eq!(counts(&own(&replica, &bob, &group).await), (3, 0));
    replica.say(&ada, &group, "welcome").await;
    assert_eq!(counts(&own(&replica, &cleo, &group).await), (1, 0));
    assert_eq!(replica.history(&cleo, &group).await.len(), 4, "it is there to be read");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_is_the_members_own_and_ends_when_they_say() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    let mute = format!("/conversations/{group}/mute");
    let client = Client::start();
    let of_ada = client.connect(&replica.url, &ada.token).await;

    let (status, muted) = replica.call(&bob, Method::PUT, &mute, Some(json!({}))).await;
    assert_eq!((status, muted["own"]["muted"].as_bool()), (200, Some(true)));
    assert_eq!(own(&replica, &ada, &group).await["muted"], false);
    let until = Timestamp::now() + SignedDuration::from_hours(1);
    let (_, muted) = replica.call(&bob, Method::PUT, &mute, Some(json!({"until": until}))).await;
    let stored: Timestamp = muted["own"]["mutedUntil"].as_str().unwrap().parse().unwrap();
    assert_eq!(stored.as_millisecond(), until.as_millisecond());
    assert_eq!(replica.call(&bob, Method::DELETE, &mute, None).await.0, 204);
    assert_eq!(own(&replica, &bob, &group).await["muted"], false);

    let past = json!({"until": "2020-01-01T00:00:00Z"});
    let (status, problem) = replica.call(&bob, Method::PUT, &mute, Some(past)).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some("until")));
    assert_eq!(replica.call(&Person::new(), Method::PUT, &mute, Some(json!({}))).await.0, 404);
    // What all members are told holds nothing of one's own.
    replica.call(&ada, Method::PATCH, &format!("/conversations/{group}"), Some(json!({"title": "Us"}))).await;
    let told = of_ada.wait_until("conversation:updated", |told| told["title"] == "Us").await;
    assert!(told.get("own").is_none() && told.get("mutes").is_none());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_that_is_over_counts_no_more() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    let until = Timestamp::now() + SignedDuration::from_secs(1);
    let mute = format!("/conversations/{group}/mute");
    replica.call(&bob, Method::PUT, &mute, Some(json!({"until": until}))).await;
    let deadline = tokio::time::Instant::now() + super::client::PATIENCE;
    while own(&replica, &bob, &group).await["muted"] == true {
        assert!(tokio::time::Instant::now() < deadline, "it is still muted");
    }
    assert!(Timestamp::now() >= until);
    replica.stop().await;
}
