//! From notifications to devices.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use contract::{
    event::MessageCreated,
    id::{SessionId, UserId},
};
use jiff::Timestamp;
use mongodb::bson::{Document, doc};
use reqwest::Method;
use runtime::{
    clock::Clock,
    messaging::{Connector, Publisher},
};
use serde_json::{Value, json};
use servers::{
    Authority, Fcm, Program, RabbitMq,
    access_tokens::{access_token, write_jwks},
    fcm::Fate,
};
use tempfile::TempDir;

use crate::{
    events::{envelope, message, registration},
    service::{SERVICE_ACCOUNT, Service, User, consuming, environment, install_crypto, push_settings, until},
};

/// The messages to a token, once there are `count`.
pub(crate) async fn pushed(fcm: &Fcm, token: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} pushes to {token}"), async || fcm.messages_to(token).unwrap().len() >= count).await;
    fcm.messages_to(token).unwrap()
}

/// Waits until a push was refused, and that is recorded.
async fn refused(service: &Service) {
    until("a push was refused", async || service.admin("/metrics").await.contains("push_failures_total 1")).await;
}

fn to(sender: &User<'_>, away: &User<'_>) -> MessageCreated {
    message(sender.id, &[sender.id, away.id], &[])
}

fn of(user: UserId, more: Document) -> Document {
    let mut filter = doc! {"userId": user.to_string()};
    filter.extend(more);
    filter
}

async fn settled(service: &Service, user: UserId, more: Document) {
    let filter = of(user, more);
    until("it is settled", async || {
        let mut settled = filter.clone();
        settled.insert("push", doc! {"$exists": false});
        service.records().count_documents(settled).await.unwrap() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_one_push_on_each_device_that_says_who_wrote_and_nothing_of_what() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let (sender, away, online) = (service.user(), service.user(), service.user());
    service.publish(registration(sender.id, "Alice").0).await;
    away.register("phone").await;
    away.register("tablet").await;
    online.register("other-phone").await;
    let message = message(sender.id, &[sender.id, away.id, online.id], &[online.id]);
    let event = envelope(message.clone());
    for _ in 0..3 {
        service.deliver(&event).await;
    }
    settled(&service, away.id, doc! {"pushedAt": {"$exists": true}}).await;
    until("the queue is empty", async || service.depth(notification::consumer::QUEUE).await == 0).await;

    let id = away.has(1).await[0].id;
    for token in ["phone", "tablet"] {
        let sent = fcm.messages_to(token).unwrap();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0]["notification"], json!({"title": "Alice sent you a message"}));
        let conversation = message.conversation_id.to_string();
        assert_eq!(
            sent[0]["data"],
            json!({"kind": "message", "conversationId": conversation, "messageId": message.message_id, "notificationId": id})
        );
        assert_eq!(sent[0]["webpush"]["fcm_options"]["link"], "https://chat.example");
    }
    assert_eq!(fcm.messages().unwrap().len(), 2, "who was there gets none");
    let counts = fcm.counts().unwrap();
    assert_eq!((counts.tokens, counts.refused_assertions, counts.sends), (1, 0, 2));
    until("it is counted", async || service.admin("/metrics").await.contains("pushes_sent_total 1")).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_it_could_be_pushed_is_not() {
    let fcm = Fcm::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_with_push(&fcm, clock.clone()).await;
    let (sender, away) = (service.user(), service.user());
    away.register("phone").await;
    fcm.refuse_next(503, Some(120)).unwrap();
    service.publish(to(&sender, &away)).await;
    refused(&service).await;
    let id = away.has(1).await[0].id;
    assert_eq!(away.send(Method::POST, &format!("/notifications/{id}/read")).await.status(), 200);
    let unread = to(&sender, &away);
    service.publish(unread.clone()).await;
    away.has(2).await;

    clock.advance(Duration::from_secs(121));

    let sent = pushed(&fcm, "phone", 1).await;
    assert_eq!(sent[0]["data"]["messageId"], unread.message_id.to_string());
    assert_eq!(fcm.counts().unwrap().sends, 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_worth_nothing_takes_its_device_along_and_no_other() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let (sender, away) = (service.user(), service.user());
    for token in ["gone", "never", "good"] {
        away.register(token).await;
    }
    fcm.doom("gone", Fate::Unregistered).unwrap();
    fcm.doom("never", Fate::InvalidArgument).unwrap();
    service.publish(to(&sender, &away)).await;
    settled(&service, away.id, doc! {"pushedAt": {"$exists": true}}).await;
    assert_eq!(away.devices().await.len(), 1);
    assert_eq!(fcm.messages().unwrap().len(), 1);

    service.publish(to(&sender, &away)).await;
    pushed(&fcm, "good", 2).await;
    assert_eq!(fcm.counts().unwrap().sends, 4, "three devices, then one");
    let metrics = service.admin("/metrics").await;
    assert!(metrics.contains(r#"push_refusals_total{reason="dead-token"} 2"#), "{metrics}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_another_project_stays_and_health_and_metrics_tell_of_it() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let (sender, away) = (service.user(), service.user());
    away.register("foreign").await;
    fcm.doom("foreign", Fate::SenderIdMismatch).unwrap();
    service.publish(to(&sender, &away)).await;
    settled(&service, away.id, doc! {"pushGivenUp": {"$exists": true}}).await;
    assert_eq!(away.devices().await.len(), 1);
    until("health tells of it", async || service.admin("/health").await.contains("another Firebase project")).await;
    assert_eq!(service.admin("/readyz").await, "ready\n");
    let metrics = service.admin("/metrics").await;
    assert!(metrics.contains(r#"push_refusals_total{reason="other-project"} 1"#), "{metrics}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firebase_is_left_alone_for_as_long_as_it_asks_and_then_each_device_that_has_nothing_is_told_once() {
    let fcm = Fcm::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_with_push(&fcm, clock.clone()).await;
    let (sender, away, other) = (service.user(), service.user(), service.user());
    away.register("phone").await;
    away.register("tablet").await;
    other.register("others-phone").await;
    fcm.refuse_next(503, Some(90)).unwrap();
    service.publish(to(&sender, &away)).await;
    let put_off = of(away.id, doc! {"push.done": {"$size": 1}, "push.dueAt": {"$gt": bson_time(&clock, 89)}});
    until("one device is told, and the other is to be in 90 s", async || {
        service.records().count_documents(put_off.clone()).await.unwrap() == 1
    })
    .await;
    service.publish(to(&sender, &other)).await;
    other.has(1).await;
    clock.advance(Duration::from_secs(89));
    // It wakes the workers, who would send both were Firebase not to be left alone.
    service.publish(to(&sender, &other)).await;
    other.has(2).await;
    assert_eq!(fcm.counts().unwrap().sends, 2);

    clock.advance(Duration::from_secs(2));

    pushed(&fcm, "others-phone", 2).await;
    settled(&service, away.id, doc! {"pushedAt": {"$exists": true}}).await;
    for (token, count) in [("phone", 1), ("tablet", 1), ("others-phone", 2)] {
        assert_eq!(fcm.messages_to(token).unwrap().len(), count, "{token}");
    }
    assert_eq!(fcm.counts().unwrap().sends, 5);
    until("all is well", async || service.admin("/health").await.contains(r#""status":"ok","service""#)).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_is_not_taken_is_replaced_once_and_nobody_waits() {
    let fcm = Fcm::start().unwrap();
    // The clock stands still: whatever is postponed is never tried again.
    let service = Service::start_with_push(&fcm, Clock::manual(Timestamp::now())).await;
    let (sender, away) = (service.user(), service.user());
    away.register("phone").await;
    service.publish(to(&sender, &away)).await;
    pushed(&fcm, "phone", 1).await;
    fcm.revoke_tokens().unwrap();
    service.publish(to(&sender, &away)).await;
    pushed(&fcm, "phone", 2).await;
    let counts = fcm.counts().unwrap();
    assert_eq!((counts.tokens, counts.sends), (2, 3));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_replaced_a_minute_before_it_ends() {
    let fcm = Fcm::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_with_push(&fcm, clock.clone()).await;
    let (sender, away) = (service.user(), service.user());
    away.register("phone").await;
    fcm.let_tokens_live(200).unwrap();
    for (count, seconds, tokens) in [(1, 139, 1), (2, 2, 1), (3, 0, 2)] {
        service.publish(to(&sender, &away)).await;
        pushed(&fcm, "phone", count).await;
        assert_eq!(fcm.counts().unwrap().tokens, tokens, "at push {count}");
        clock.advance(Duration::from_secs(seconds));
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_access_token_serves_many_who_ask_at_once() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let sender = service.user();
    let users: Vec<_> = (0..12).map(|_| service.user()).collect();
    let mut members = vec![sender.id];
    for (number, user) in users.iter().enumerate() {
        user.register(&format!("phone-{number}")).await;
        members.push(user.id);
    }
    service.publish(message(sender.id, &members, &[])).await;
    until("all are told", async || fcm.messages().unwrap().len() == users.len()).await;
    assert_eq!(fcm.counts().unwrap().tokens, 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_replaced_is_read_again_and_until_then_health_tells_why_nothing_is_pushed() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let (sender, away) = (service.user(), service.user());
    away.register("phone").await;
    service.publish(to(&sender, &away)).await;
    pushed(&fcm, "phone", 1).await;

    let key = fcm.rotate_credentials().unwrap();
    service.publish(to(&sender, &away)).await;
    until("health tells of it", async || {
        let health = service.admin("/health").await;
        health.contains("the service account cannot log in") && health.contains("unknown key")
    })
    .await;
    assert_eq!(service.admin("/readyz").await, "ready\n");
    assert!(fcm.counts().unwrap().refused_assertions >= 1);
    fs::write(service.folder().join(SERVICE_ACCOUNT), key.to_string()).unwrap();

    pushed(&fcm, "phone", 2).await;
    until("all is well", async || service.admin("/health").await.contains(r#""status":"ok","service""#)).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_go_to_whom_the_device_belongs_by_then() {
    let fcm = Fcm::start().unwrap();
    let service = Service::start_with_push(&fcm, Clock::system()).await;
    let (sender, ada, ben) = (service.user(), service.user(), service.user());
    ada.register("tablet").await;
    ben.register("tablet").await;
    service.publish(to(&sender, &ada)).await;
    ada.has(1).await;
    let bens = to(&sender, &ben);
    service.publish(bens.clone()).await;
    let sent = pushed(&fcm, "tablet", 1).await;
    assert_eq!(sent[0]["data"]["messageId"], bens.message_id.to_string());
    until("nothing is due", async || {
        service.records().count_documents(doc! {"push": {"$exists": true}}).await.unwrap() == 0
    })
    .await;
    assert_eq!(fcm.messages().unwrap().len(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_could_not_be_pushed_for_an_hour_is_no_news() {
    let fcm = Fcm::start().unwrap();
    let clock = Clock::manual(Timestamp::now());
    let service = Service::start_with_push(&fcm, clock.clone()).await;
    let (sender, away) = (service.user(), service.user());
    away.register("phone").await;
    fcm.refuse_next(429, None).unwrap();
    service.publish(to(&sender, &away)).await;
    refused(&service).await;
    let until = doc! {"push.dueAt": {"$gte": bson_time(&clock, 60)}};
    assert_eq!(service.records().count_documents(of(away.id, until)).await.unwrap(), 1);
    clock.advance(Duration::from_mins(61));
    settled(&service, away.id, doc! {"pushGivenUp.reason": "it could not be pushed in time"}).await;
    assert_eq!(fcm.counts().unwrap().sends, 1);
    service.stop().await;
}

/// The program, as a container runs it, and what is needed to reach and follow it.
struct Running {
    program: Program,
    variables: BTreeMap<String, String>,
    folder: TempDir,
}

impl Running {
    fn start(fcm: &Fcm) -> Self {
        install_crypto();
        let folder = tempfile::tempdir().unwrap();
        write_jwks(folder.path()).unwrap();
        let variables = environment(folder.path(), RabbitMq::shared(), None, &push_settings(folder.path(), fcm));
        let program = Self::program(folder.path(), &variables);
        Self { program, variables, folder }
    }

    fn program(folder: &Path, variables: &BTreeMap<String, String>) -> Program {
        Program::start("notification", folder, env!("CARGO_BIN_EXE_notification"), variables).unwrap()
    }

    /// Ends it as a crash would, and starts it again with another variable.
    fn restart_with(&mut self, name: &str, value: &Path) {
        self.program.kill().unwrap();
        self.variables.insert(name.to_owned(), value.to_str().unwrap().to_owned());
        self.program = Self::program(self.folder.path(), &self.variables);
    }

    fn setting(&self, name: &'static str) -> (&'static str, String) {
        (name, self.variables[&format!("CHATPLATFORM_{name}")].clone())
    }

    /// Registers a device of somebody, and sends them a message while they are away.
    async fn message_to_a_device(&self, token: &str) -> UserId {
        let broker = Connector::new(self.setting("RABBITMQ__URI_FILE").1, "test");
        consuming(&broker).await;
        let (sender, away) = (UserId::generate(), UserId::generate());
        let registered = reqwest::Client::new()
            .post(format!("{}/api/v1/devices", self.program.url()))
            .bearer_auth(access_token(&json!({"sub": away, "sid": SessionId::generate()})))
            .json(&json!({"token": token, "platform": "android"}));
        assert_eq!(registered.send().await.unwrap().status(), 201);
        let event = envelope(message(sender, &[sender, away], &[]));
        Publisher::new(broker).publish(&event).await.unwrap();
        away
    }
}

/// What Firebase has taken and nobody recorded is sent again; its place on the device is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_under_way_when_the_process_was_killed_is_sent_by_the_next_one() {
    let fcm = Fcm::start().unwrap();
    fcm.keep_silent_about_next().unwrap();
    let mut running = Running::start(&fcm);
    let away = running.message_to_a_device("phone").await;
    pushed(&fcm, "phone", 1).await;
    running.program.kill().unwrap();

    // By when its claim has run out.
    let later = Clock::manual(Timestamp::now() + Duration::from_mins(3));
    let again = ["MONGODB__DATABASE", "RABBITMQ__URI_FILE"].map(|name| running.setting(name));
    let service = Service::start_anew(RabbitMq::shared(), None, later, |folder| {
        push_settings(folder, &fcm).into_iter().chain(again).collect()
    })
    .await;

    let sent = pushed(&fcm, "phone", 2).await;
    assert_eq!((&sent[0]["data"], &sent[0]["android"]), (&sent[1]["data"], &sent[1]["android"]));
    settled(&service, away, doc! {"pushedAt": {"$exists": true}}).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_to_a_server_whose_certificate_the_machine_does_not_trust() {
    let authority = Authority::new().unwrap();
    let fcm = Fcm::start_with_tls(&authority).unwrap();
    let mut running = Running::start(&fcm);
    running.message_to_a_device("phone").await;
    let health = format!("{}/health", running.program.admin_url());
    until("health tells of it", async || {
        reqwest::get(&health).await.unwrap().text().await.unwrap().contains("certificate")
    })
    .await;
    let counts = fcm.counts().unwrap();
    assert_eq!((counts.tokens, counts.refused_assertions, counts.sends), (0, 0, 0));

    let trusted = running.folder.path().join("trusted.pem");
    fs::write(&trusted, authority.pem()).unwrap();
    running.restart_with("SSL_CERT_FILE", &trusted);
    assert_eq!(pushed(&fcm, "phone", 1).await.len(), 1);
}

fn bson_time(clock: &Clock, seconds: i64) -> mongodb::bson::DateTime {
    mongodb::bson::DateTime::from_millis(clock.now().as_millisecond() + seconds * 1000)
}
