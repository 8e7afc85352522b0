use std::time::Duration;

use mongodb::bson::{Document, doc};
use reqwest::StatusCode;
use serde_json::json;

use crate::events::{listen, next_of};
use crate::service::{Auth, PASSWORD, fields};

const PATH: &str = "/api/v1/users/me/delete";

#[tokio::test]
async fn who_deletes_the_account_is_gone_everywhere_and_others_are_told() {
    let auth = Auth::start().await;
    let ada = auth.register_as("ada", "Countess Lovelace").await;
    let there = auth.login("ada").await;
    let eve = auth.register("eve").await;
    let (_connection, mut events) = listen(&auth).await;

    assert_eq!(auth.post_by(&ada, PATH, &json!({"password": PASSWORD})).await.0, StatusCode::NO_CONTENT);

    assert_eq!(next_of(&mut events, "user.deleted").await, json!({"userId": ada.user["id"]}));
    for ended in [&ada, &there] {
        assert_eq!(auth.get("/api/v1/users/me", &ended.access_token).await.0, StatusCode::UNAUTHORIZED);
        assert!(auth.is_revoked_in_redis(&ended.session()).await);
        auth.refresh(&ended.refresh_token).await.unwrap_err();
    }
    let path = format!("/api/v1/users/{}", ada.user["id"].as_str().unwrap());
    assert_eq!(auth.get(&path, &eve.access_token).await.0, StatusCode::NOT_FOUND);
    assert!(auth.find("ada", &eve.access_token).await.is_empty());
    assert!(auth.find("count", &eve.access_token).await.is_empty());
    let login = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", &login).await.0, StatusCode::UNAUTHORIZED);
    auth.refresh(&eve.refresh_token).await.unwrap();
}

#[tokio::test]
async fn what_is_left_of_an_account_is_its_name_for_thirty_days() {
    let auth = Auth::start().await;
    let ada = auth.register_as("ada", "Countess Lovelace").await;
    auth.post_by(&ada, PATH, &json!({"password": PASSWORD})).await;
    auth.until("the event has left", async || {
        auth.all::<Document>("users", doc! {"outbox.0": {"$exists": true}}).await.is_empty()
    })
    .await;
    let left = auth.all::<Document>("users", doc! {}).await.remove(0);
    let text = left.to_string();
    assert!(!text.contains("example.org") && !text.contains("Countess") && !text.contains("argon2"), "{text}");
    let (purged, gone) = (left.get_datetime("purgeAt").unwrap(), left.get_datetime("deletedAt").unwrap());
    assert_eq!(purged.timestamp_millis() - gone.timestamp_millis(), 30 * 24 * 3600 * 1000);
    // Nobody else is taken for who is gone; the address is free at once.
    let again = |email: &str, name: &str| json!({"email": email, "username": name, "password": PASSWORD});
    let refused = auth.post("/api/v1/auth/register", &again("ada@example.org", "Ada")).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, refused), "username-taken");
    let (status, answer) = auth.post("/api/v1/auth/register", &again("ada@example.org", "ada2")).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

#[tokio::test]
async fn the_end_of_an_account_takes_its_password() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    assert_eq!(fields(&auth.post_by(&ada, PATH, &json!({})).await.1), ["password"]);
    let wrong = auth.post_by(&ada, PATH, &json!({"password": "a wrong password"})).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, wrong), "wrong-password");
    auth.login("ada").await;
    let nobody = auth.client.post(auth.url(PATH)).json(&json!({"password": PASSWORD})).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn two_accounts_can_be_gone_at_the_same_time() {
    let auth = Auth::start().await;
    for name in ["ada", "eve"] {
        let user = auth.register(name).await;
        assert_eq!(auth.post_by(&user, PATH, &json!({"password": PASSWORD})).await.0, StatusCode::NO_CONTENT);
        auth.clock.advance(Duration::from_secs(1));
    }
}
