//! From notifications to e-mails.

use std::time::Duration;

use mongodb::bson::doc;
use reqwest::Method;
use runtime::clock::Clock;
use servers::{Message, RabbitMq, Smtp};

use crate::{
    events::{envelope, message, registration},
    service::{Service, until},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// All mail to `address`, once there is some.
pub(crate) fn mail(smtp: &Smtp, address: &str) -> Vec<Message> {
    tokio::task::block_in_place(|| smtp.wait_for(address, PATIENCE))
}

fn arrived(smtp: &Smtp, address: &str) -> usize {
    tokio::task::block_in_place(|| smtp.messages()).iter().filter(|mail| mail.to == [address]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_an_e_mail_that_names_the_sender_and_links_to_the_platform() {
    let service = Service::start_with_email().await;
    let (sender, away) = (service.user(), service.user());
    let (alice, alices_address) = registration(sender.id, "Alice");
    let (bob, address) = registration(away.id, "Bob Żółć");
    service.publish(alice).await;
    service.publish(bob).await;
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;

    let received = mail(Smtp::shared(), &address);

    assert_eq!(received.len(), 1);
    assert_eq!(received[0].from, "chat@acme.example");
    assert!(received[0].text.starts_with("Hello Bob Żółć,"), "{}", received[0].text);
    assert!(received[0].text.contains("https://chat.example"), "{}", received[0].text);
    assert_eq!(received[0].html, "");
    until("it is recorded as sent", async || {
        let sent = doc! {"userId": away.id.to_string(), "emailedAt": {"$exists": true}, "email": {"$exists": false}};
        service.records().count_documents(sent).await.unwrap() == 1
    })
    .await;
    assert_eq!(arrived(Smtp::shared(), &alices_address), 0, "the sender gets none");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_twice_makes_one_e_mail() {
    let service = Service::start_with_email().await;
    let (sender, away) = (service.user(), service.user());
    let (bob, address) = registration(away.id, "Bob");
    service.publish(bob).await;
    let event = envelope(message(sender.id, &[sender.id, away.id], &[]));
    for _ in 0..3 {
        service.deliver(&event).await;
    }
    // What comes behind them in the queue is dealt with after them or beside them.
    let last = message(sender.id, &[sender.id, away.id], &[]);
    service.publish(last.clone()).await;
    away.has(2).await;
    until("all events are dealt with", async || service.depth(notification::consumer::QUEUE).await == 0).await;

    until("nothing is due", async || service.due().await == 0).await;
    service.stop().await;
    until("both e-mails have arrived", async || arrived(Smtp::shared(), &address) >= 2).await;
    assert_eq!(arrived(Smtp::shared(), &address), 2, "one for each of two messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_mail_server_is_away_notifications_go_on_and_afterwards_each_e_mail_arrives_once() {
    let mut smtp = Smtp::start().unwrap();
    let service = Service::start_with(RabbitMq::shared(), Some(&smtp), Clock::system()).await;
    let (sender, away) = (service.user(), service.user());
    let (bob, address) = registration(away.id, "Bob");
    service.publish(bob).await;
    smtp.stop().unwrap();

    for count in 1..=3 {
        service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
        away.has(count).await;
    }
    until("sending has been tried", async || {
        service.records().count_documents(doc! {"email.attempts": {"$gte": 1}}).await.unwrap() > 0
    })
    .await;
    assert_eq!(service.due().await, 3);

    smtp.restart().unwrap();
    until("nothing is due", async || service.due().await == 0).await;
    until("three e-mails have arrived", async || arrived(&smtp, &address) >= 3).await;
    assert_eq!(arrived(&smtp, &address), 3);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_waits_for_the_address_of_who_is_not_known_yet_and_holds_nobody_up() {
    let service = Service::start_with_email().await;
    let (sender, stranger, known) = (service.user(), service.user(), service.user());
    let (late, late_address) = registration(stranger.id, "Late");
    let (early, early_address) = registration(known.id, "Early");
    service.publish(early).await;
    service.publish(message(sender.id, &[sender.id, stranger.id], &[])).await;
    until("sending has been tried", async || {
        let tried = doc! {"userId": stranger.id.to_string(), "email.attempts": {"$gte": 1}};
        service.records().count_documents(tried).await.unwrap() == 1
    })
    .await;

    service.publish(message(sender.id, &[sender.id, known.id], &[])).await;
    assert_eq!(mail(Smtp::shared(), &early_address).len(), 1);
    assert_eq!(arrived(Smtp::shared(), &late_address), 0);

    service.publish(late).await;
    let received = mail(Smtp::shared(), &late_address);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].subject, "You have a new message", "the sender's name is not known");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_to_who_stays_unknown_is_given_up_in_the_end() {
    let clock = Clock::manual(jiff::Timestamp::now());
    let service = Service::start_with(RabbitMq::shared(), Some(Smtp::shared()), clock.clone()).await;
    let (sender, away) = (service.user(), service.user());
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    away.has(1).await;

    until("it is given up", async || {
        clock.advance(Duration::from_secs(20));
        let given_up =
            doc! {"emailGivenUp.reason": "the recipient's address is not known", "email": {"$exists": false}};
        service.records().count_documents(given_up).await.unwrap() == 1
    })
    .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_the_mail_server_could_never_take_is_given_up_at_once() {
    let service = Service::start_with_email().await;
    let (sender, away) = (service.user(), service.user());
    let (mut bob, _) = registration(away.id, "Bob");
    bob.email = "not an address".to_owned();
    service.publish(bob).await;
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;

    until("it is given up", async || {
        service.records().count_documents(doc! {"emailGivenUp": {"$exists": true}}).await.unwrap() == 1
    })
    .await;
    assert_eq!(service.due().await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_the_e_mail_could_go_is_not_sent() {
    let mut smtp = Smtp::start().unwrap();
    let service = Service::start_with(RabbitMq::shared(), Some(&smtp), Clock::system()).await;
    let (sender, reader, other) = (service.user(), service.user(), service.user());
    let (bob, read_address) = registration(reader.id, "Bob");
    let (eve, other_address) = registration(other.id, "Eve");
    service.publish(bob).await;
    service.publish(eve).await;
    smtp.stop().unwrap();
    service.publish(message(sender.id, &[sender.id, reader.id, other.id], &[])).await;
    let id = reader.has(1).await[0].id;
    assert_eq!(reader.send(Method::POST, &format!("/notifications/{id}/read")).await.status(), 200);

    smtp.restart().unwrap();

    assert_eq!(mail(&smtp, &other_address).len(), 1);
    until("nothing is due", async || service.due().await == 0).await;
    assert_eq!(arrived(&smtp, &read_address), 0);
    service.stop().await;
}
