//! What users see and change.

use contract::{
    event::{ConversationRead, MessageCreated},
    id::{MessageId, NotificationId},
    notification::Notification,
};
use mongodb::{
    Collection,
    bson::{Document, doc},
};
use reqwest::{Method, StatusCode};

use crate::{
    events::message,
    service::{Service, problem, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_read_page_by_page_newest_first() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    let mut sent = Vec::new();
    for count in 1..=5 {
        let message = message(sender.id, &[sender.id, away.id], &[]);
        sent.push(message.message_id);
        service.publish(message).await;
        away.has(count).await;
    }
    sent.reverse();

    let mut read = Vec::new();
    let mut query = "?limit=2".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = away.page(&query).await;
        sizes.push(page.items.len());
        read.extend(page.items.iter().map(|notification| notification.message_id));
        match page.next_cursor {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(read, sent);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_none_is_refused_and_a_limit_is_kept_within_bounds() {
    let service = Service::start().await;
    let away = service.user();
    let answer = away.send(Method::GET, "/notifications?cursor=bm9uc2Vuc2U").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let problem = problem(answer).await;
    assert_eq!((problem.code.as_str(), problem.errors[0].field.as_str()), ("validation-failed", "cursor"));
    assert!(away.page("?limit=100000").await.items.is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_read_once_and_keeps_the_time() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    let unread = away.has(1).await.remove(0);
    let path = format!("/notifications/{}/read", unread.id);

    let first = away.send(Method::POST, &path).await;
    assert_eq!(first.status(), StatusCode::OK);
    let first: Notification = first.json().await.unwrap();
    let again: Notification = away.send(Method::POST, &path).await.json().await.unwrap();

    assert!(first.read_at.is_some());
    assert_eq!(first.read_at, again.read_at);
    assert_eq!(away.notifications().await, [first]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_all_reads_ones_own_alone() {
    let service = Service::start().await;
    let (sender, away, other) = (service.user(), service.user(), service.user());
    for _ in 0..3 {
        service.publish(message(sender.id, &[sender.id, away.id, other.id], &[])).await;
    }
    away.has(3).await;
    other.has(3).await;

    let answer = away.send(Method::POST, "/notifications/read-all").await;

    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(away.notifications().await.iter().all(|notification| notification.read_at.is_some()));
    assert!(other.notifications().await.iter().all(|notification| notification.read_at.is_none()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_conversation_reads_all_of_it_and_of_no_other() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    let shown = message(sender.id, &[sender.id, away.id], &[]);
    let mut shown_too = message(sender.id, &[sender.id, away.id], &[]);
    shown_too.conversation_id = shown.conversation_id;
    let other = message(sender.id, &[sender.id, away.id], &[]);
    for message in [&shown, &shown_too, &other] {
        service.publish(message.clone()).await;
    }
    away.has(3).await;

    let path = format!("/notifications/read-all?conversationId={}", shown.conversation_id);
    assert_eq!(away.send(Method::POST, &path).await.status(), StatusCode::NO_CONTENT);

    for notification in away.notifications().await {
        assert_eq!(notification.read_at.is_some(), notification.conversation_id == shown.conversation_id);
    }
    let answer = away.send(Method::POST, "/notifications/read-all?conversationId=17").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_on_in_a_conversation_has_read_what_was_told_of_it_so_far() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    let first = message(sender.id, &[sender.id, away.id], &[]);
    let conversation_id = first.conversation_id;
    for seq in 1..=3 {
        service.publish(MessageCreated { message_id: MessageId::generate(), seq, ..first.clone() }).await;
    }
    let elsewhere = message(sender.id, &[sender.id, away.id], &[]);
    service.publish(elsewhere.clone()).await;
    away.has(4).await;

    service.publish(ConversationRead { conversation_id, user_id: away.id, seq: 2 }).await;

    let unread =
        async || away.notifications().await.into_iter().filter(|one| one.read_at.is_none()).collect::<Vec<_>>();
    until("two of them are read", async || unread().await.len() == 2).await;
    let conversations: Vec<_> = unread().await.iter().map(|one| one.conversation_id).collect();
    assert!(conversations.contains(&conversation_id) && conversations.contains(&elsewhere.conversation_id));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_what_they_are_known_to_have_read_already() {
    let service = Service::start().await;
    let (sender, quick, away) = (service.user(), service.user(), service.user());
    let missed = MessageCreated { seq: 5, ..message(sender.id, &[sender.id, quick.id, away.id], &[]) };
    service.publish(ConversationRead { conversation_id: missed.conversation_id, user_id: quick.id, seq: 5 }).await;
    let marks: Collection<Document> = service.database.collection("readMarks");
    until("the mark is there", async || marks.count_documents(doc! {}).await.unwrap() == 1).await;

    service.publish(missed.clone()).await;
    service.publish(MessageCreated { message_id: MessageId::generate(), seq: 6, ..missed.clone() }).await;

    away.has(2).await;
    let told = quick.has(1).await.remove(0);
    assert_ne!(told.message_id, missed.message_id);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_neither_see_nor_read_anothers_notification() {
    let service = Service::start().await;
    let (sender, away, stranger) = (service.user(), service.user(), service.user());
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    let id = away.has(1).await[0].id;

    assert!(stranger.notifications().await.is_empty());
    for path in [format!("/notifications/{id}/read"), format!("/notifications/{}/read", NotificationId::generate())] {
        let answer = stranger.send(Method::POST, &path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(problem(answer).await.code, "not-found");
    }
    let nobody = service.http.get(format!("{}/api/v1/notifications", service.url)).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(away.notifications().await[0].read_at, None);
    service.stop().await;
}
