//! Search over the caller's own conversations.

use mongodb::bson::{Document, doc};
use reqwest::Method;
use serde_json::{Value, json};

use super::platform::{Person, Platform, Replica};

async fn found(replica: &Replica, who: &Person, query: &str) -> Vec<String> {
    let (status, page) = replica.get(who, &format!("/search/messages?{query}")).await;
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect()
}

fn at(conversation: &str, message: &Value) -> String {
    format!("/conversations/{conversation}/messages/{}", message["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_in_all_conversations_of_the_caller_and_in_no_other() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, eve) = (Person::new(), Person::new(), Person::new());
    let (direct, group) = (replica.direct(&ada, &bob).await, replica.group(&ada, &[&bob]).await);
    let apart = replica.direct(&bob, &eve).await;
    replica.say(&ada, &direct, "Meet at noon?").await;
    replica.say(&bob, &group, "NOON suits me, the Café is open").await;
    replica.say(&bob, &direct, "the afternoon is better").await;
    replica.say(&eve, &apart, "not before noon").await;

    let both = ["NOON suits me, the Café is open", "Meet at noon?"];
    assert_eq!(found(&replica, &ada, "q=noon").await, both, "newest first, whole words, without case");
    assert_eq!(found(&replica, &ada, "q=cafe%20noon").await, both[..1], "all words, without accents");
    assert_eq!(found(&replica, &ada, "q=noon%20midnight").await, [""; 0]);
    assert_eq!(found(&replica, &ada, &format!("q=noon&conversationId={direct}")).await, both[1..]);
    assert_eq!(found(&replica, &ada, &format!("q=noon&conversationId={apart}")).await, [""; 0]);
    assert_eq!(found(&replica, &eve, "q=noon").await, ["not before noon"]);
    assert_eq!(found(&replica, &Person::new(), "q=noon").await, [""; 0]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_is_found_by_its_new_words_and_what_was_deleted_not_at_all() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    let edited = replica.say(&ada, &group, "bring apples").await;
    let deleted = replica.say(&ada, &group, "apples are out").await;
    replica.call(&ada, Method::PATCH, &at(&group, &edited), Some(json!({"text": "bring pears"}))).await;
    replica.call(&ada, Method::DELETE, &at(&group, &deleted), None).await;
    assert_eq!(found(&replica, &bob, "q=apples").await, [""; 0]);
    assert_eq!(found(&replica, &bob, "q=pears").await, ["bring pears"]);
    let messages = platform.database().await.collection::<Document>("messages");
    let left = messages.find_one(doc! {"_id": deleted["id"].as_str().unwrap()}).await.unwrap().unwrap();
    assert!(!left.contains_key("tokens"));

    // Who leaves finds nothing any more, and nobody finds anything in a group that is gone.
    replica.call(&bob, Method::DELETE, &format!("/conversations/{group}/members/{}", bob.id), None).await;
    assert_eq!(found(&replica, &bob, "q=pears").await, [""; 0]);
    assert_eq!(found(&replica, &ada, "q=pears").await, ["bring pears"]);
    replica.call(&ada, Method::DELETE, &format!("/conversations/{group}"), None).await;
    assert_eq!(found(&replica, &ada, "q=pears").await, [""; 0]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_comes_page_by_page_across_conversations() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let conversations = [replica.direct(&ada, &bob).await, replica.direct(&ada, &cleo).await];
    for n in 0..7 {
        replica.say(&ada, &conversations[n % 2], &format!("needle {n}")).await;
        replica.say(&ada, &conversations[n % 2], "hay").await;
    }
    let (mut texts, mut path) = (Vec::new(), "/search/messages?q=needle&limit=3".to_owned());
    loop {
        let (_, page) = replica.get(&ada, &path).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        texts.extend(items.iter().map(|m| m["text"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/search/messages?q=needle&limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(texts, (0..7).rev().map(|n| format!("needle {n}")).collect::<Vec<_>>());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_words_or_with_too_many_is_refused_by_name() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let ada = Person::new();
    let many = (0..20).map(|n| format!("w{n}")).collect::<Vec<_>>().join("%20");
    for query in ["", "q=", "q=%3F!", &format!("q={many}"), &format!("q={}", "x".repeat(300))] {
        let (status, problem) = replica.get(&ada, &format!("/search/messages?{query}")).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some("q")), "{query}");
    }
    let (status, problem) = replica.get(&ada, "/search/messages?q=x&cursor=nonsense").await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (400, Some("cursor")));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_word_leaves_the_same_trace_within_a_conversation_and_none_between_two() {
    let platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let (one, two) = (replica.direct(&ada, &bob).await, replica.direct(&ada, &cleo).await);
    for (conversation, text) in [(&one, "noon"), (&one, "Noon!"), (&two, "noon")] {
        replica.say(&ada, conversation, text).await;
    }
    let messages = platform.database().await.collection::<Document>("messages");
    let tokens = async |conversation: &str| {
        let found = messages.find(doc! {"conversationId": conversation}).await.unwrap();
        let found: Vec<Document> = futures::TryStreamExt::try_collect(found).await.unwrap();
        found.iter().map(|message| message.get_array("tokens").unwrap().clone()).collect::<Vec<_>>()
    };
    let (here, there) = (tokens(&one).await, tokens(&two).await);
    assert_eq!((here[0].len(), &here[0]), (1, &here[1]));
    assert_ne!(here[0], there[0]);
    replica.stop().await;
}
