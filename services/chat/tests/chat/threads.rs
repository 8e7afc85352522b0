//! Answers, threads and pins.

use reqwest::Method;
use serde_json::{Value, json};

use super::platform::{Person, Platform, Replica};

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

fn at(conversation: &str, message: &Value) -> String {
    format!("/conversations/{conversation}/messages/{}", message["id"].as_str().unwrap())
}

async fn answer(replica: &Replica, who: &Person, conversation: &str, to: &Value, text: &str) -> Value {
    let body = json!({"text": text, "replyTo": to["id"]});
    let (status, answer) = replica.post(who, &format!("/conversations/{conversation}/messages"), body).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_answer_belongs_to_the_thread_of_the_first_message() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let question = replica.say(&ada, &conversation, "where?").await;
    let other = replica.say(&ada, &conversation, "and when?").await;
    assert!(question.get("threadId").is_none());
    let here = answer(&replica, &bob, &conversation, &question, "here").await;
    let really = answer(&replica, &ada, &conversation, &here, "really?").await;
    answer(&replica, &bob, &conversation, &other, "now").await;
    assert_eq!((&really["replyTo"], &really["threadId"]), (&here["id"], &question["id"]));

    for message in [&question, &here, &really] {
        let (_, thread) = replica.get(&bob, &format!("{}/thread", at(&conversation, message))).await;
        assert_eq!(texts(&thread), ["really?", "here"]);
    }
    let (_, first) = replica.get(&bob, &format!("{}/thread?limit=1", at(&conversation, &question))).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let path = format!("{}/thread?limit=1&cursor={cursor}", at(&conversation, &question));
    let (_, second) = replica.get(&bob, &path).await;
    assert_eq!((texts(&first), texts(&second)), (vec!["really?"], vec!["here"]));
    assert!(second.get("nextCursor").is_none());

    let (status, one) = replica.get(&bob, &at(&conversation, &here)).await;
    assert_eq!((status, &one), (200, &here));
    let stranger = Person::new();
    assert_eq!(replica.get(&stranger, &at(&conversation, &here)).await.0, 404);
    assert_eq!(replica.get(&stranger, &format!("{}/thread", at(&conversation, &here))).await.0, 404);
    let elsewhere = replica.direct(&bob, &stranger).await;
    assert_eq!(replica.get(&bob, &at(&elsewhere, &here)).await.0, 404, "it is not in that conversation");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_are_listed_last_pinned_first_page_by_page() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let conversation = replica.direct(&ada, &bob).await;
    let mut said = Vec::new();
    for text in ["a", "b", "c", "d"] {
        said.push(replica.say(&ada, &conversation, text).await);
    }
    for place in [2, 0, 3, 1] {
        let pin = format!("{}/pin", at(&conversation, &said[place]));
        assert_eq!(replica.call(&bob, Method::PUT, &pin, None).await.0, 200);
    }
    replica.call(&ada, Method::DELETE, &format!("{}/pin", at(&conversation, &said[3])), None).await;
    let (mut pinned, mut path) = (Vec::new(), format!("/conversations/{conversation}/pins?limit=2"));
    loop {
        let (status, page) = replica.get(&ada, &path).await;
        assert_eq!(status, 200, "{page}");
        pinned.extend(texts(&page).into_iter().map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/conversations/{conversation}/pins?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(pinned, ["b", "a", "c"]);
    // What is deleted is not pinned any more.
    replica.call(&ada, Method::DELETE, &at(&conversation, &said[0]), None).await;
    let (_, page) = replica.get(&ada, &format!("/conversations/{conversation}/pins")).await;
    assert_eq!(texts(&page), ["b", "c"]);
    assert_eq!(replica.get(&Person::new(), &format!("/conversations/{conversation}/pins")).await.0, 404);
    replica.stop().await;
}
