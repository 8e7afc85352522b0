//! Who is mentioned, and who hears of it.

use std::collections::BTreeSet;

use contract::event::{Envelope, Event, MessageCreated};
use contract::id::UserId;
use reqwest::Method;
use serde_json::{Value, json};

use super::events::Listener;
use super::platform::{Person, Platform, Replica};

fn ids(people: &[&Person]) -> BTreeSet<UserId> {
    people.iter().map(|person| person.id).collect()
}

fn mentioned(message: &Value) -> BTreeSet<UserId> {
    match &message["mentionIds"] {
        Value::Null => BTreeSet::new(),
        ids => serde_json::from_value(ids.clone()).unwrap(),
    }
}

/// A group of three, each of whom has been seen by the service.
async fn group(replica: &Replica, owner: &Person, others: [&Person; 2]) -> String {
    let group = replica.group(owner, &others).await;
    for other in others {
        assert_eq!(replica.get(other, "/conversations").await.0, 200);
    }
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_mentions_the_member_who_has_it_and_nobody_else() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::named("ada"), Person::named("Bob"), Person::named("cleo"));
    let stranger = Person::named("eve");
    let group = group(&replica, &ada, [&bob, &cleo]).await;
    replica.get(&stranger, "/conversations").await;
    for (text, expected) in [
        ("@bob, are you there?", vec![&bob]),
        ("@BOB and @cleo.", vec![&bob, &cleo]),
        ("@ada talks to herself, of @eve and @nobody", vec![]),
        ("bob@cleo.example is an address", vec![]),
    ] {
        let message = replica.say(&ada, &group, text).await;
        assert_eq!(mentioned(&message), ids(&expected), "{text}");
    }
    // Whoever has taken another name is known by it once they are seen again.
    let robert = Person { name: "robert".into(), ..bob.clone() }.renewed();
    replica.get(&robert, "/conversations").await;
    assert_eq!(mentioned(&replica.say(&ada, &group, "@robert").await), ids(&[&bob]));
    let nobody = replica.say(&ada, &group, "@bob").await;
    assert!(nobody.get("mentionIds").is_none(), "{nobody}");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_mentioned_by_admins_and_the_owner_alone() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::named("ada"), Person::named("bob"), Person::named("cleo"));
    let group = group(&replica, &ada, [&bob, &cleo]).await;
    let count = |message: &Value| mentioned(message).len();
    assert_eq!(count(&replica.say(&ada, &group, "@all: lunch").await), 2);
    assert_eq!(count(&replica.say(&bob, &group, "@all: lunch").await), 0);
    let promote = format!("/conversations/{group}/members/{}", bob.id);
    assert_eq!(replica.call(&ada, Method::PATCH, &promote, Some(json!({"role": "admin"}))).await.0, 200);
    let message = replica.say(&bob, &group, "@all: lunch, now").await;
    assert_eq!(count(&message), 2);
    let direct = replica.direct(&ada, &bob).await;
    assert_eq!(count(&replica.say(&ada, &direct, "@all").await), 0, "there is one other");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_who_is_mentioned_and_who_has_muted_the_conversation() {
    let platform = Platform::new();
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::start(&platform.rabbitmq_uri, folder.path());
    let replica = platform.start().await;
    listener.bound(&replica).await;
    let (ada, bob, cleo) = (Person::named("ada"), Person::named("bob"), Person::named("cleo"));
    let group = group(&replica, &ada, [&bob, &cleo]).await;
    let mute = format!("/conversations/{group}/mute");
    assert_eq!(replica.call(&cleo, Method::PUT, &mute, Some(json!({}))).await.0, 200);
    let message = replica.say(&ada, &group, "@bob, look").await;
    let at = format!("/conversations/{group}/messages/{}", message["id"].as_str().unwrap());
    let text = json!({"text": "@bob and @cleo, look"});
    let (_, edited) = replica.call(&ada, Method::PATCH, &at, Some(text)).await;
    assert_eq!(mentioned(&edited), ids(&[&bob, &cleo]));

    let of_edit = |envelope: &Envelope| match &envelope.event {
        Event::MessageEdited(edited) => Some(edited.mention_ids.clone()),
        _ => None,
    };
    let heard = listener.until(|heard| heard.iter().any(|envelope| of_edit(envelope).is_some())).await;
    assert_eq!(heard.iter().find_map(of_edit).unwrap(), [cleo.id], "who is mentioned anew");
    let of_message = |envelope: &Envelope| match &envelope.event {
        Event::MessageCreated(MessageCreated { mention_ids, muted_member_ids, .. }) => {
            Some((mention_ids.clone(), muted_member_ids.clone()))
        }
        _ => None,
    };
    let expected: (Vec<UserId>, Vec<UserId>) = (vec![bob.id], vec![cleo.id]);
    assert_eq!(heard.iter().find_map(of_message).unwrap(), expected);
    replica.stop().await;
}
