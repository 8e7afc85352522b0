//! Conversations and their members.

use jiff::Timestamp;
use reqwest::Method;
use runtime::clock::Clock;
use serde_json::json;

use super::client::Client;
use super::platform::{Person, Platform};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_has_one_direct_conversation_however_often_it_is_opened() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let open = |who: Person, other: Person| {
        let replica = &replica;
        async move { replica.post(&who, "/conversations", json!({"type": "direct", "memberIds": [other.id]})).await }
    };
    let at_once =
        tokio::join!(open(ada.clone(), bob.clone()), open(bob.clone(), ada.clone()), open(ada.clone(), bob.clone()));
    let mut statuses = [at_once.0.0, at_once.1.0, at_once.2.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    assert_eq!(at_once.0.1["id"], at_once.1.1["id"]);
    assert_eq!(at_once.0.1["id"], at_once.2.1["id"]);
    let (_, list) = replica.get(&bob, "/conversations").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_asked_for_again_under_its_key_is_one_group_with_one_answer() {
    let platform = Platform::new();
    let (ada, bob) = (Person::whose_token_lasts(200_000), Person::new());
    // Not before the tokens' own time, however long the service takes to start.
    let clock = Clock::manual(Timestamp::now());
    let replica = platform.start_with(clock.clone()).await;
    let open = async |key: &str, title: &str| {
        let url = format!("{}/api/v1/conversations", replica.url);
        let body = json!({"type": "group", "title": title, "memberIds": [bob.id]});
        let request = reqwest::Client::new().post(url).bearer_auth(&ada.token).header("Idempotency-Key", key);
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let first = open("k1", "Twice").await;
    assert_eq!(first.0, 201);
    assert_eq!(open("k1", "Twice").await, first);
    assert_ne!(open("k2", "Twice").await.1["id"], first.1["id"]);
    let (status, problem) = open("k1", "Other").await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("idempotency-key-reused")));

    // A process that died before it kept its answer: the group is there, and so is a claim that has run out.
    let kept = platform.database().await.collection::<mongodb::bson::Document>("idempotency");
    kept.delete_many(mongodb::bson::doc! {}).await.unwrap();
    let (status, again) = open("k1", "Twice").await;
    assert_eq!((status, &again["id"]), (200, &first.1["id"]), "the group knows its key");

    clock.advance(std::time::Duration::from_hours(24));
    let (status, later) = open("k1", "Other").await;
    assert_eq!((status, later["title"].as_str()), (201, Some("Other")), "after a day the key is free");
    assert_ne!(later["id"], first.1["id"]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_everybody_is_told() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let client = Client::start();
    let of_ada = client.connect(&replica.url, &ada.token).await;
    let of_bob = client.connect(&replica.url, &bob.token).await;
    let of_cleo = client.connect(&replica.url, &cleo.token).await;

    let group = replica.group(&ada, &[&bob]).await;
    let new = of_bob.wait_for("conversation:new", 1).await.remove(0);
    assert_eq!((new["id"].as_str(), new["conversationId"].as_str()), (Some(group.as_str()), Some(group.as_str())));
    replica.say(&ada, &group, "before Cleo").await;

    let members = format!("/conversations/{group}/members");
    let add = json!({"userIds": [cleo.id]});
    assert_eq!(replica.post(&bob, &members, add.clone()).await.0, 403);
    let (status, grown) = replica.post(&ada, &members, add).await;
    assert_eq!((status, grown["members"].as_array().unwrap().len(), grown["seq"].as_u64()), (200, 3, Some(2)));
    of_cleo.wait_for("conversation:new", 1).await;
    let told = of_bob.wait_for("conversation:updated", 1).await.remove(0);
    assert_eq!((told["members"].as_array().unwrap().len(), told["seq"].as_u64()), (3, Some(2)));
    replica.say(&ada, &group, "with Cleo").await;
    assert_eq!(of_cleo.wait_for("message:new", 1).await[0]["text"], "with Cleo");

    let promote = |role: &str| Some(json!({"role": role}));
    assert_eq!(replica.call(&bob, Method::PATCH, &format!("{members}/{}", cleo.id), promote("admin")).await.0, 403);
    let (status, promoted) =
        replica.call(&ada, Method::PATCH, &format!("{members}/{}", bob.id), promote("admin")).await;
    assert_eq!(status, 200);
    assert!(promoted["members"].as_array().unwrap().contains(&json!({"userId": bob.id, "role": "admin"})));

    assert_eq!(replica.call(&bob, Method::DELETE, &format!("{members}/{}", cleo.id), None).await.0, 204);
    of_cleo.wait_until("conversation:updated", |told| told["members"].as_array().unwrap().len() == 2).await;
    assert_eq!(replica.get(&cleo, &format!("/conversations/{group}")).await.0, 404);
    replica.say(&ada, &group, "without Cleo").await;
    of_bob.wait_until("message:new", |message| message["text"] == "without Cleo").await;
    assert_eq!(of_cleo.received("message:new").len(), 1);

    let (status, renamed) =
        replica.call(&bob, Method::PATCH, &format!("/conversations/{group}"), Some(json!({"title": "Two"}))).await;
    assert_eq!((status, renamed["title"].as_str()), (200, Some("Two")));
    of_ada.wait_until("conversation:updated", |told| told["title"] == "Two").await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_the_liveliest_first_page_by_page() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let ada = Person::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(replica.direct(&ada, &Person::new()).await);
    }
    replica.say(&ada, &ids[1], "alive").await;
    let mut listed = Vec::new();
    let mut path = "/conversations?limit=2".to_owned();
    loop {
        let (_, page) = replica.get(&ada, &path).await;
        listed.extend(page["items"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/conversations?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(listed, [&ids[1], &ids[4], &ids[3], &ids[2], &ids[0]].map(Clone::clone));
    let (status, problem) = replica.get(&ada, "/conversations?cursor=nonsense").await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some("cursor")));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_mark_moves_forward_only_and_not_beyond_the_end() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    for n in 0..3 {
        replica.say(&ada, &conversation, &format!("{n}")).await;
    }
    for (asked, marked) in [(2, 2), (1, 2), (99, 3), (0, 3)] {
        let path = format!("/conversations/{conversation}/read");
        let (status, body) = replica.call(&bob, Method::PUT, &path, Some(json!({"seq": asked}))).await;
        assert_eq!((status, body["seq"].as_u64()), (200, Some(marked)));
    }
    let (_, seen) = replica.get(&ada, &format!("/conversations/{conversation}")).await;
    assert_eq!(seen["read"], json!({bob.id.to_string(): 3}));
    replica.stop().await;
}
