//! Devices: whose they are, and when they end.

use contract::{
    device::Device,
    event::{RevocationReason, SessionRevoked, UserDeleted},
    id::SessionId,
};
use futures::TryStreamExt;
use mongodb::bson::doc;
use notification::store::devices::MOST;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::service::{Service, problem, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_registered_once_however_often_its_client_starts() {
    let service = Service::start().await;
    let ada = service.user();
    let body = json!({"token": "adas-phone", "platform": "ios", "name": " Ada's phone "});
    let first = ada.send_json(Method::POST, "/devices", &body).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let first: Device = first.json().await.unwrap();
    assert_eq!(first.name.as_deref(), Some("Ada's phone"));

    let body = json!({"token": "adas-phone", "platform": "ios"});
    let again = ada.send_json(Method::POST, "/devices", &body).await;
    assert_eq!(again.status(), StatusCode::OK);
    let again: Device = again.json().await.unwrap();
    assert_eq!((again.id, again.created_at, again.name.clone()), (first.id, first.created_at, None));
    assert_eq!(ada.devices().await, [again]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_sent_again_under_its_key_is_answered_as_the_first_time() {
    let service = Service::start().await;
    let (ada, ben) = (service.user(), service.user());
    let body = json!({"token": "adas-phone", "platform": "ios", "name": "Phone"});
    let first = ada.post_under("k-1", "/devices", &body).await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(ada.post_under("k-1", "/devices", &body).await, first, "and not with 200, as without a key");

    let other = json!({"token": "adas-tablet", "platform": "ios"});
    let (status, problem) = ada.post_under("k-1", "/devices", &other).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-reused")));
    assert_eq!(ada.devices().await.len(), 1);

    let faulty = json!({"token": "", "platform": "ios"});
    assert_eq!(ada.post_under("k-2", "/devices", &faulty).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ada.post_under("k-2", "/devices", &other).await.0, StatusCode::CREATED, "a refusal leaves the key free");
    assert_eq!(
        ben.post_under("k-1", "/devices", &json!({"token": "bens", "platform": "web"})).await.0,
        StatusCode::CREATED
    );

    let kept: Vec<mongodb::bson::Document> =
        service.database.collection("idempotency").find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|answer| !answer.to_string().contains("adas-phone")), "no token is kept: {kept:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_somebody_else_registers_is_theirs_from_then_on() {
    let service = Service::start().await;
    let (ada, ben) = (service.user(), service.user());
    let adas = ada.register("shared-tablet").await;
    let bens = ben.register("shared-tablet").await;
    assert_ne!(adas.id, bens.id);
    assert!(ada.devices().await.is_empty());
    assert_eq!(ben.devices().await, [bens]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_register_one_token_at_once_leave_it_with_one_of_them() {
    let service = Service::start().await;
    let users: Vec<_> = (0..8).map(|_| service.user()).collect();
    let body = json!({"token": "fought-over", "platform": "web"});
    let answers =
        futures::future::join_all(users.iter().map(|user| user.send_json(Method::POST, "/devices", &body))).await;
    assert!(answers.iter().any(|answer| answer.status() == StatusCode::CREATED));
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::CREATED || answer.status().is_server_error()));
    let devices: mongodb::Collection<mongodb::bson::Document> = service.database.collection("devices");
    assert_eq!(devices.count_documents(doc! {"token": "fought-over"}).await.unwrap(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_devices_the_one_that_was_registered_longest_ago_makes_way() {
    let service = Service::start().await;
    let ada = service.user();
    let first = ada.register("phone-0").await;
    for number in 1..=MOST {
        ada.register(&format!("phone-{number}")).await;
    }
    let devices = ada.devices().await;
    assert_eq!(devices.len(), MOST);
    assert!(devices.iter().all(|device| device.id != first.id));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_neither_see_nor_remove_a_device_and_no_answer_has_its_token() {
    let service = Service::start().await;
    let (ada, eve) = (service.user(), service.user());
    let device = ada.register("adas-phone").await;
    assert!(eve.devices().await.is_empty());
    let path = format!("/devices/{}", device.id);
    let answer = eve.send(Method::DELETE, &path).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(answer).await.code, "not-found");
    assert!(!ada.send(Method::GET, "/devices").await.text().await.unwrap().contains("adas-phone"));
    assert_eq!(ada.send(Method::DELETE, &path).await.status(), StatusCode::NO_CONTENT);
    assert!(ada.devices().await.is_empty());
    assert_eq!(ada.send(Method::DELETE, &path).await.status(), StatusCode::NOT_FOUND);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_device_is_refused_with_the_field_named() {
    let service = Service::start().await;
    let ada = service.user();
    for (body, field) in [
        (json!({"token": "", "platform": "web"}), "token"),
        (json!({"token": "two words", "platform": "web"}), "token"),
        (json!({"token": "t".repeat(4097), "platform": "web"}), "token"),
        (json!({"token": "t", "platform": "fridge"}), "platform"),
        (json!({"token": "t", "platform": "web", "name": "n".repeat(101)}), "name"),
        (json!({"token": "t", "platform": "web", "name": "two\nlines"}), "name"),
    ] {
        let answer = ada.send_json(Method::POST, "/devices", &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(problem(answer).await.errors[0].field, field, "{body}");
    }
    assert!(ada.devices().await.is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_ends_with_its_session_and_all_end_with_the_account() {
    let service = Service::start().await;
    let (ada, ben) = (service.user(), service.user());
    ada.register("adas-phone").await;
    ben.register("bens-phone").await;
    let ended =
        |session_id: SessionId| SessionRevoked { user_id: ada.id, session_id, reason: Some(RevocationReason::Ended) };
    service.publish(ended(SessionId::generate())).await;
    service.publish(ended(ada.session)).await;
    until("the device is gone", async || ada.devices().await.is_empty()).await;
    assert_eq!(ben.devices().await.len(), 1);

    ben.prefer(&json!({"email": false, "push": true})).await;
    service.publish(UserDeleted { user_id: ben.id }).await;
    until("the device is gone", async || ben.devices().await.is_empty()).await;
    let preferences: mongodb::Collection<mongodb::bson::Document> = service.database.collection("preferences");
    until("the preferences are gone", async || preferences.count_documents(doc! {}).await.unwrap() == 0).await;
    service.stop().await;
}
