//! Search by way of a real `OpenSearch`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chat::settings::Backend;
use mongodb::bson::{Document, doc};
use reqwest::Method;
use serde_json::{Value, json};
use servers::{Authority, Listens, OpenSearch, Program};
use tokio::time::{Instant, sleep};

use super::client::PATIENCE;
use super::durability;
use super::platform::{Person, Platform, Replica};

/// A platform that searches by way of the `OpenSearch` that tests share.
fn platform() -> Platform {
    let mut platform = Platform::new();
    platform.search_by(OpenSearch::shared().endpoint());
    platform
}

/// Status and texts that a search is answered with.
async fn search(replica: &Replica, who: &Person, query: &str) -> (u16, Vec<String>) {
    let (status, page) = replica.get(who, &format!("/search/messages?limit=100&{query}")).await;
    let texts = page["items"].as_array().into_iter().flatten();
    (status, texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect())
}

/// Waits until a search finds exactly these texts.
async fn until_found(replica: &Replica, who: &Person, query: &str, wanted: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, found) = search(replica, who, query).await;
        if status == 200 && found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{query} is answered {status} {found:?}, and not {wanted:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the index has so many documents.
async fn until_documents(server: &OpenSearch, platform: &Platform, wanted: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let count = server.count(&platform.search.index).unwrap_or_default();
        if count == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "the index has {count} documents, and not {wanted}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Whether `MongoDB` has the index that messages are found by there.
async fn has_token_index(platform: &Platform) -> bool {
    let messages = platform.database().await.collection::<Document>("messages");
    messages.list_index_names().await.unwrap().contains(&"tokens".to_owned())
}

/// Waits until what is searched is `OpenSearch` and not `MongoDB` any more.
async fn until_switched(platform: &Platform) {
    let indexes = platform.database().await.collection::<Document>("search_indexes");
    let deadline = Instant::now() + PATIENCE;
    while indexes.count_documents(doc! {"complete": true}).await.unwrap() == 0 || has_token_index(platform).await {
        assert!(Instant::now() < deadline, "OpenSearch does not take the place of MongoDB");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn edit(replica: &Replica, who: &Person, conversation: &str, message: &Value, text: &str) {
    let path = format!("/conversations/{conversation}/messages/{}", message["id"].as_str().unwrap());
    assert_eq!(replica.call(who, Method::PATCH, &path, Some(json!({"text": text}))).await.0, 200);
}

async fn delete(replica: &Replica, who: &Person, conversation: &str, message: &Value) {
    let path = format!("/conversations/{conversation}/messages/{}", message["id"].as_str().unwrap());
    let (status, body) = replica.call(who, Method::DELETE, &path, None).await;
    assert!((200..300).contains(&status), "{status}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_as_they_are_sent_edited_and_deleted() {
    let platform = platform();
    let replica = platform.start().await;
    until_switched(&platform).await;
    let (ada, bob, eve) = (Person::new(), Person::new(), Person::new());
    let (direct, group) = (replica.direct(&ada, &bob).await, replica.group(&ada, &[&bob]).await);
    replica.say(&ada, &direct, "Meet at noon?").await;
    let said = replica.say(&bob, &group, "NOON suits me, the Café is open").await;
    replica.say(&bob, &direct, "?!").await;
    let both = ["NOON suits me, the Café is open", "Meet at noon?"];
    until_found(&replica, &ada, "q=noon", &both).await;
    assert_eq!(search(&replica, &ada, "q=cafe%20noon").await, (200, vec![both[0].to_owned()]));
    assert_eq!(search(&replica, &ada, "q=noon%20midnight").await, (200, vec![]));
    assert_eq!(search(&replica, &ada, &format!("q=noon&conversationId={direct}")).await.1, both[1..]);
    assert_eq!(search(&replica, &eve, "q=noon").await, (200, vec![]));
    // Nothing stands there for a text without words.
    until_documents(OpenSearch::shared(), &platform, 2).await;

    edit(&replica, &bob, &group, &said, "midnight suits me").await;
    until_found(&replica, &ada, "q=midnight", &["midnight suits me"]).await;
    until_found(&replica, &ada, "q=noon", &both[1..]).await;
    delete(&replica, &bob, &group, &said).await;
    until_found(&replica, &ada, "q=midnight", &[]).await;
    until_documents(OpenSearch::shared(), &platform, 1).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_finds_nothing_at_once_and_of_a_deleted_group_nothing_is_left() {
    let platform = platform();
    let replica = platform.start().await;
    until_switched(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let group = replica.group(&ada, &[&bob]).await;
    replica.say(&ada, &group, "bring apples").await;
    replica.say(&ada, &group, "and pears").await;
    until_found(&replica, &bob, "q=apples", &["bring apples"]).await;

    replica.call(&ada, Method::DELETE, &format!("/conversations/{group}/members/{}", bob.id), None).await;
    assert_eq!(search(&replica, &bob, "q=apples").await, (200, vec![]));
    assert_eq!(search(&replica, &bob, &format!("q=apples&conversationId={group}")).await, (200, vec![]));
    assert_eq!(search(&replica, &ada, "q=apples").await.1, ["bring apples"]);

    replica.call(&ada, Method::DELETE, &format!("/conversations/{group}"), None).await;
    assert_eq!(search(&replica, &ada, "q=apples").await, (200, vec![]));
    until_documents(OpenSearch::shared(), &platform, 0).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_comes_page_by_page_across_conversations() {
    let platform = platform();
    let replica = platform.start().await;
    let (ada, bob, cleo) = (Person::new(), Person::new(), Person::new());
    let conversations = [replica.direct(&ada, &bob).await, replica.direct(&ada, &cleo).await];
    for n in 0..7 {
        replica.say(&ada, &conversations[n % 2], &format!("needle {n}")).await;
        replica.say(&ada, &conversations[n % 2], "hay").await;
    }
    until_switched(&platform).await;
    until_documents(OpenSearch::shared(), &platform, 14).await;
    let (mut texts, mut path) = (Vec::new(), "/search/messages?q=needle&limit=3".to_owned());
    loop {
        let (_, page) = replica.get(&ada, &path).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        texts.extend(items.iter().map(|message| message["text"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/search/messages?q=needle&limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(texts, (0..7).rev().map(|n| format!("needle {n}")).collect::<Vec<_>>());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_full_although_the_index_has_not_heard_of_the_newest_changes() {
    let mut server = OpenSearch::start().unwrap();
    let mut platform = Platform::new();
    platform.search_by(server.endpoint());
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let direct = replica.direct(&ada, &bob).await;
    let mut said = Vec::new();
    for n in 0..6 {
        said.push(replica.say(&ada, &direct, &format!("needle {n}")).await);
    }
    until_switched(&platform).await;
    until_documents(&server, &platform, 6).await;
    // Four changes that the index never hears of: nobody feeds it, and another replica searches in it.
    server.kill();
    for message in &said[2..] {
        delete(&replica, &ada, &direct, message).await;
    }
    replica.stop().await;
    server.restart().unwrap();
    let leases = platform.database().await.collection::<Document>("search_leases");
    let others = doc! {"_id": "feeding", "holder": "somebody", "until": mongodb::bson::DateTime::MAX};
    leases.insert_one(others).await.unwrap();
    let replica = platform.start().await;
    let (status, page) = replica.get(&ada, "/search/messages?q=needle&limit=2").await;
    let texts = page["items"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap());
    assert_eq!((status, texts.collect::<Vec<_>>()), (200, vec!["needle 1", "needle 0"]));
    assert_eq!(server.count(&platform.search.index).unwrap(), 6);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_opensearch_people_chat_on_search_says_so_and_what_changed_meanwhile_is_found_later() {
    let mut server = OpenSearch::start().unwrap();
    let mut platform = Platform::new();
    platform.search_by(server.endpoint());
    let replica = platform.start().await;
    until_switched(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let direct = replica.direct(&ada, &bob).await;
    let (edited, deleted) =
        (replica.say(&ada, &direct, "before apples").await, replica.say(&ada, &direct, "before pears").await);
    until_found(&replica, &bob, "q=before", &["before pears", "before apples"]).await;

    server.kill();
    for n in 0..300 {
        replica.say(&ada, &direct, &format!("meanwhile {n}")).await;
    }
    edit(&replica, &ada, &direct, &edited, "after apples").await;
    delete(&replica, &ada, &direct, &deleted).await;
    let (status, problem) = replica.get(&bob, "/search/messages?q=before").await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")), "{problem}");
    assert_eq!(reqwest::get(format!("{}/readyz", replica.admin_url)).await.unwrap().status(), 200);
    let health: Value = reqwest::get(format!("{}/health", replica.admin_url)).await.unwrap().json().await.unwrap();
    assert!(health["checks"]["opensearch"]["reason"].as_str().unwrap().contains("does not answer"), "{health}");
    let deadline = Instant::now() + PATIENCE;
    while replica.metric("chat_search_lag_seconds").await < 1 {
        assert!(Instant::now() < deadline, "the lag is not told");
        sleep(Duration::from_millis(100)).await;
    }

    server.restart().unwrap();
    until_found(&replica, &bob, "q=after", &["after apples"]).await;
    until_found(&replica, &bob, "q=before", &[]).await;
    until_documents(&server, &platform, 301).await;
    assert_eq!(replica.metric("chat_search_changes_behind").await, 0);
    assert!(replica.metric("chat_search_feeding_failures_total").await > 0);
    // Killed once more, right after it has taken everything: what it has taken it keeps.
    server.kill();
    server.restart().unwrap();
    until_found(&replica, &bob, "q=299", &["meanwhile 299"]).await;
    assert_eq!(server.count(&platform.search.index).unwrap(), 301);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_replica_had_not_fed_another_does() {
    let platform = platform();
    let folder = tempfile::tempdir().unwrap();
    let mut process = durability::start(&platform, &folder).await;
    let replica = platform.start().await;
    until_switched(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let direct = replica.direct(&ada, &bob).await;
    for n in 0..400 {
        replica.say(&ada, &direct, &format!("message {n}")).await;
        if n == 200 {
            process.kill().unwrap();
        }
    }
    until_documents(OpenSearch::shared(), &platform, 400).await;
    until_found(&replica, &bob, "q=message%20201", &["message 201"]).await;
    // And on by a third after an end in order of the second.
    replica.stop().await;
    let replica = platform.start().await;
    replica.say(&ada, &direct, "message 400").await;
    until_documents(OpenSearch::shared(), &platform, 401).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_it_is_filled_with_what_was_there_while_mongodb_goes_on_finding_it_and_switched_off_mongodb_finds_all()
 {
    let mut platform = Platform::new();
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let (direct, gone) = (replica.direct(&ada, &bob).await, replica.group(&ada, &[&bob]).await);
    for n in 0..600 {
        replica.say(&ada, &direct, &format!("old {n}")).await;
    }
    let deleted = replica.say(&ada, &direct, "old and deleted").await;
    delete(&replica, &ada, &direct, &deleted).await;
    replica.say(&ada, &gone, "old and gone").await;
    replica.call(&ada, Method::DELETE, &format!("/conversations/{gone}"), None).await;
    assert!(has_token_index(&platform).await);
    replica.stop().await;

    platform.search_by(OpenSearch::shared().endpoint());
    let replica = platform.start().await;
    // From the first moment on: by whom does not matter.
    assert_eq!(search(&replica, &bob, "q=old%20599").await, (200, vec!["old 599".to_owned()]));
    until_switched(&platform).await;
    until_found(&replica, &bob, "q=old%207", &["old 7"]).await;
    until_documents(OpenSearch::shared(), &platform, 600).await;
    replica.say(&ada, &direct, "new by opensearch").await;
    until_found(&replica, &bob, "q=new", &["new by opensearch"]).await;
    replica.stop().await;

    let opensearch = platform.search.clone();
    platform.search.backend = Backend::MongoDb;
    let replica = platform.start().await;
    until_found(&replica, &bob, "q=old%20599", &["old 599"]).await;
    until_found(&replica, &bob, "q=new", &["new by opensearch"]).await;
    assert!(has_token_index(&platform).await);
    replica.say(&ada, &direct, "new by mongodb").await;
    replica.stop().await;

    // Back again: only what it missed is fed.
    platform.search = opensearch;
    let replica = platform.start().await;
    until_switched(&platform).await;
    until_found(&replica, &bob, "q=new", &["new by mongodb", "new by opensearch"]).await;
    until_documents(OpenSearch::shared(), &platform, 602).await;
    assert_eq!(replica.metric("chat_search_documents_written_total").await, 1);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_gone_is_made_and_filled_anew_and_nothing_is_found_in_part_meanwhile() {
    let platform = platform();
    let replica = platform.start().await;
    until_switched(&platform).await;
    let (ada, bob) = (Person::new(), Person::new());
    let direct = replica.direct(&ada, &bob).await;
    let wanted: Vec<String> = (0..50).rev().map(|n| format!("needle {n}")).collect();
    for text in wanted.iter().rev() {
        replica.say(&ada, &direct, text).await;
    }
    until_documents(OpenSearch::shared(), &platform, 50).await;
    OpenSearch::shared().delete(&format!("{}-v1", platform.search.index)).unwrap();

    let deadline = Instant::now() + PATIENCE;
    let mut was_away = false;
    loop {
        let (status, found) = search(&replica, &ada, "q=needle").await;
        match status {
            503 => was_away = true,
            _ => {
                assert_eq!((status, found.as_slice()), (200, wanted.as_slice()));
                if was_away {
                    break;
                }
            }
        }
        assert!(Instant::now() < deadline, "the index is not made anew");
        sleep(Duration::from_millis(20)).await;
    }
    until_documents(OpenSearch::shared(), &platform, 50).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_holds_no_word_and_no_text_that_could_be_read_back() {
    let server = OpenSearch::start().unwrap();
    let mut platform = Platform::new();
    platform.search_by(server.endpoint());
    let replica = platform.start().await;
    let (ada, bob) = (Person::new(), Person::new());
    let direct = replica.direct(&ada, &bob).await;
    let said = replica.say(&ada, &direct, "the quokkaburra laughs").await;
    until_switched(&platform).await;
    until_documents(&server, &platform, 1).await;
    until_found(&replica, &bob, "q=quokkaburra", &["the quokkaburra laughs"]).await;
    let index = &platform.search.index;
    let document = server.get(&format!("/{index}/_doc/{}", said["id"].as_str().unwrap())).unwrap();
    assert_eq!(document["found"], true);
    assert!(document.get("_source").is_none(), "{document}");
    let searched = server.get(&format!("/{index}/_search?q=quokkaburra")).unwrap();
    assert_eq!(searched["hits"]["total"]["value"], 0);
    replica.stop().await;

    let (mut ids, mut words) = (0, 0);
    each_file(server.folder(), &mut |content| {
        let holds = |text: &str| content.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
        ids += usize::from(holds(&direct));
        words += usize::from(holds("quokkaburra") || holds("laughs"));
    });
    // The look would find it: the conversation's id stands there in the clear.
    assert!(ids > 0 && words == 0, "{ids} files with ids, {words} with words");
}

fn each_file(folder: &Path, look: &mut impl FnMut(&[u8])) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            each_file(&entry.path(), look);
        } else {
            look(&fs::read(entry.path()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_taken_up_and_a_wrong_one_told_of() {
    let platform = platform();
    platform.write_password("a wrong one");
    let replica = platform.start().await;
    let health: Value = reqwest::get(format!("{}/health", replica.admin_url)).await.unwrap().json().await.unwrap();
    let reason = health["checks"]["opensearch"]["reason"].as_str().unwrap();
    assert!(reason.contains("does not let the account in (401"), "{reason}");
    platform.write_password(OpenSearch::PASSWORD);
    until_switched(&platform).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opensearch_behind_tls_is_trusted_by_the_authority_beside_the_password_alone() {
    let authority = Authority::new().unwrap();
    let identity = authority.issue().unwrap();
    let configuration = format!(
        "pid /tmp/nginx.pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; \
         fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s; \
         server {{ listen 8443 ssl; ssl_certificate /etc/nginx-config/tls.crt; ssl_certificate_key /etc/nginx-config/tls.key; \
         location / {{ proxy_pass {}; }} }} }}",
        OpenSearch::shared().endpoint()
    );
    let start = "exec nginx -p /tmp/ -c /etc/nginx-config/nginx.conf -g 'daemon off;'".to_owned();
    let files = BTreeMap::from([
        ("serve.sh".to_owned(), start),
        ("nginx.conf".to_owned(), configuration),
        ("tls.crt".to_owned(), identity.certificate),
        ("tls.key".to_owned(), identity.key),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let listens = Listens { clients: 8443, probes: 8080, others: &[] };
    let proxy = Program::start_nginx("tls", folder.path(), &files, &listens).unwrap();
    let mut platform = Platform::new();
    platform.search_by(&proxy.url().replace("http://", "https://"));
    let replica = platform.start().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health: Value = reqwest::get(format!("{}/health", replica.admin_url)).await.unwrap().json().await.unwrap();
        let reason = health["checks"]["opensearch"]["reason"].as_str().unwrap();
        if reason.contains("certificate") {
            break;
        }
        assert!(Instant::now() < deadline, "{reason}");
        sleep(Duration::from_millis(100)).await;
    }

    // It is trusted as soon as the Secret has it.
    platform.write_authority(&authority.pem());
    until_switched(&platform).await;
    replica.stop().await;
}
