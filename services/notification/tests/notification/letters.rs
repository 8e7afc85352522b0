//! Letters about accounts, from their events to the mail server.

use std::time::Duration;

use contract::event::{
    EmailChanged, EmailVerificationRequested, MailedToken, PasswordChanged, PasswordResetRequested, RevocationReason,
    SecondStepChanged, SessionRevoked, UserDeleted, UserUpdated,
};
use contract::id::{SessionId, UserId};
use jiff::{SignedDuration, Timestamp};
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use runtime::clock::Clock;
use servers::{RabbitMq, Smtp};

use crate::{
    emails::mail,
    events::{envelope, message, registration},
    service::{Service, until},
};

fn arrived(smtp: &Smtp, address: &str) -> Vec<String> {
    let all = tokio::task::block_in_place(|| smtp.messages());
    all.into_iter().filter(|mail| mail.to == [address]).map(|mail| mail.subject).collect()
}

fn letters(service: &Service) -> Collection<Document> {
    service.database.collection("letters")
}

fn address(user: UserId) -> String {
    format!("{}@example.org", user.to_string().to_lowercase())
}

fn verification(user: UserId, token: &str, expires_at: Timestamp) -> EmailVerificationRequested {
    EmailVerificationRequested {
        user_id: user,
        display_name: "Ada".to_owned(),
        email: address(user),
        token: MailedToken(token.to_owned()),
        expires_at,
    }
}

fn in_an_hour() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

async fn settled(service: &Service, count: u64) {
    until("the letters are settled", async || {
        letters(service).count_documents(doc! {"settledAt": {"$exists": true}}).await.unwrap() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_sent_to_the_address_they_are_about_and_forgotten_then() {
    let service = Service::start_with_email().await;
    let user = UserId::generate();
    let event = envelope(verification(user, "tok-verify", in_an_hour()));
    service.deliver(&event).await;
    let received = mail(Smtp::shared(), &address(user));
    assert_eq!(received[0].subject, "Confirm your e-mail address");
    assert!(received[0].text.contains("/verify-email#token=tok-verify"), "{}", received[0].text);
    settled(&service, 1).await;
    let kept = letters(&service).find_one(doc! {}).await.unwrap().unwrap().to_string();
    assert!(!kept.contains("tok-verify") && !kept.contains("example.org"), "{kept}");

    // The event again, and then another: what comes after it shows that it was dealt with.
    service.deliver(&event).await;
    service
        .publish(PasswordResetRequested {
            user_id: user,
            display_name: "Ada".to_owned(),
            email: address(user),
            token: MailedToken("tok-reset".to_owned()),
            expires_at: in_an_hour(),
        })
        .await;
    settled(&service, 2).await;
    until("the queue is empty", async || service.depth(notification::consumer::QUEUE).await == 0).await;
    let subjects = arrived(Smtp::shared(), &address(user));
    assert_eq!(subjects, ["Confirm your e-mail address", "Choose a new password"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_about_an_account_goes_to_the_address_that_is_known_of_the_user() {
    let service = Service::start_with_email().await;
    let user = UserId::generate();
    let (registered, email) = registration(user, "Ada");
    service.publish(registered).await;
    service.publish(PasswordChanged { user_id: user }).await;
    service.publish(SecondStepChanged { user_id: user, enabled: true }).await;
    let revoked = |reason| SessionRevoked { user_id: user, session_id: SessionId::generate(), reason };
    service.publish(revoked(Some(RevocationReason::TokenReused))).await;
    service.publish(revoked(Some(RevocationReason::Ended))).await;
    settled(&service, 3).await;
    until("the queue is empty", async || service.depth(notification::consumer::QUEUE).await == 0).await;
    let mut subjects = arrived(Smtp::shared(), &email);
    subjects.sort();
    let expected =
        ["Logging in takes a second step now", "You were logged out for safety", "Your password was changed"];
    assert_eq!(subjects, expected);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_address_is_told_to_the_old_one_and_used_from_then_on() {
    let service = Service::start_with_email().await;
    let user = UserId::generate();
    let (registered, old) = registration(user, "Ada");
    let new = format!("new-{old}");
    let registered = envelope(registered);
    let changed = envelope(EmailChanged {
        user_id: user,
        display_name: "Ada".to_owned(),
        email: new.clone(),
        previous_email: old.clone(),
    });
    // In the wrong order: what is older changes nothing.
    service.deliver(&changed).await;
    settled(&service, 1).await;
    service.deliver(&registered).await;
    let contacts: Collection<Document> = service.database.collection("contacts");
    until("the queue is empty", async || service.depth(notification::consumer::QUEUE).await == 0).await;
    service.publish(PasswordChanged { user_id: user }).await;
    assert_eq!(mail(Smtp::shared(), &new)[0].subject, "Your password was changed");
    assert_eq!(arrived(Smtp::shared(), &old), ["Your e-mail address was changed"]);

    service
        .publish(UserUpdated {
            user_id: user,
            username: "ada".to_owned(),
            display_name: "Countess".to_owned(),
            avatar_id: None,
        })
        .await;
    until("the name is known", async || {
        contacts.count_documents(doc! {"displayName": "Countess", "email": &new}).await.unwrap() == 1
    })
    .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_user_who_is_gone_nothing_is_kept_and_nothing_comes_back() {
    let service = Service::start_with_email().await;
    let (sender, gone) = (service.user(), service.user());
    let (registered, email) = registration(gone.id, "Ada");
    let registered = envelope(registered);
    service.deliver(&registered).await;
    service.publish(message(sender.id, &[sender.id, gone.id], &[])).await;
    gone.has(1).await;
    assert_eq!(mail(Smtp::shared(), &email).len(), 1);

    service.publish(UserDeleted { user_id: gone.id }).await;

    until("the notification is gone", async || gone.notifications().await.is_empty()).await;
    service.deliver(&registered).await;
    service.publish(PasswordChanged { user_id: gone.id }).await;
    until("the letter waits", async || letters(&service).count_documents(doc! {}).await.unwrap() == 1).await;
    let contacts: Collection<Document> = service.database.collection("contacts");
    let record = contacts.find_one(doc! {"_id": gone.id.to_string()}).await.unwrap().unwrap();
    assert_eq!(record, doc! {"_id": gone.id.to_string(), "gone": true});
    assert_eq!(arrived(Smtp::shared(), &email).len(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_has_expired_before_the_mail_server_took_it_is_not_sent() {
    let mut smtp = Smtp::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_with(RabbitMq::shared(), Some(&smtp), clock.clone()).await;
    smtp.stop().unwrap();
    let user = UserId::generate();
    service.publish(verification(user, "tok-late", clock.now() + SignedDuration::from_mins(2))).await;
    until("sending has been tried", async || {
        letters(&service).count_documents(doc! {"attempts": {"$gte": 1}}).await.unwrap() == 1
    })
    .await;
    smtp.restart().unwrap();
    clock.advance(Duration::from_mins(3));
    until("it is given up", async || {
        clock.advance(Duration::from_secs(1));
        let given_up = doc! {"givenUp": "its link has expired", "letter": {"$exists": false}};
        letters(&service).count_documents(given_up).await.unwrap() == 1
    })
    .await;
    assert!(arrived(&smtp, &address(user)).is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_no_letter_is_kept() {
    let service = Service::start().await;
    let (sender, away) = (service.user(), service.user());
    service.publish(verification(away.id, "tok-nowhere", in_an_hour())).await;
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    away.has(1).await;
    until("the queue is empty", async || service.depth(notification::consumer::QUEUE).await == 0).await;
    assert_eq!(letters(&service).count_documents(doc! {}).await.unwrap(), 0);
    service.stop().await;
}
