use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::events::{listen, next_of};
use crate::service::{Auth, PASSWORD, fields};

const ASKED: &str = "user.email-verification-requested";

async fn verify(auth: &Auth, token: &serde_json::Value) -> (StatusCode, serde_json::Value) {
    auth.post("/api/v1/auth/verify-email", &json!({"token": token})).await
}

#[tokio::test]
async fn a_new_account_is_sent_a_token_that_verifies_its_address_once() {
    let auth = Auth::start_with_mail().await;
    let (_connection, mut events) = listen(&auth).await;
    let ada = auth.register("ada").await;
    assert_eq!(ada.user["emailVerified"], false);
    let asked = next_of(&mut events, ASKED).await;
    assert_eq!((&asked["userId"], &asked["email"]), (&ada.user["id"], &"ada@example.org".into()));
    assert_eq!(verify(&auth, &asked["token"]).await.0, StatusCode::NO_CONTENT);
    assert_eq!(auth.get("/api/v1/users/me", &ada.access_token).await.1["emailVerified"], true);
    let again = verify(&auth, &asked["token"]).await;
    assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, again), "invalid-token");
}

#[tokio::test]
async fn a_token_is_good_for_a_day_and_kept_as_a_digest() {
    let auth = Auth::start_with_mail().await;
    let (_connection, mut events) = listen(&auth).await;
    auth.register("ada").await;
    let asked = next_of(&mut events, ASKED).await;
    auth.until("the event has left", async || !auth.documents().await.contains(asked["token"].as_str().unwrap())).await;
    auth.clock.advance(Duration::from_hours(24));
    assert_eq!(verify(&auth, &asked["token"]).await.0, StatusCode::BAD_REQUEST);
    for wrong in [json!("made up"), json!("")] {
        assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, verify(&auth, &wrong).await), "invalid-token");
    }
    assert_eq!(fields(&auth.post("/api/v1/auth/verify-email", &json!({})).await.1), ["token"]);
}

#[tokio::test]
async fn who_has_not_verified_within_a_day_gets_no_further_until_they_have() {
    let auth = Auth::start_with_mail().await;
    let (_connection, mut events) = listen(&auth).await;
    let ada = auth.register("ada").await;
    next_of(&mut events, ASKED).await;
    auth.login("ada").await;
    auth.clock.advance(Duration::from_hours(24));
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "email-not-verified");
    let body = json!({"username": "ada", "password": PASSWORD});
    let refused = auth.post("/api/v1/auth/login", &body).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, refused), "email-not-verified");
    // Another letter is sent to whoever knows the password.
    let asked = next_of(&mut events, ASKED).await;
    assert_eq!(verify(&auth, &asked["token"]).await.0, StatusCode::NO_CONTENT);
    auth.login("ada").await;
    auth.refresh(&ada.refresh_token).await.unwrap();
}

#[tokio::test]
async fn no_more_than_five_letters_are_sent_in_a_day() {
    let auth = Auth::start_with_mail().await;
    let ada = auth.register("ada").await;
    for _ in 0..8 {
        let (status, _) = auth.post_as("/api/v1/auth/resend-verification", &ada.access_token).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    let tokens = auth.all::<mongodb::bson::Document>("oneTimeTokens", mongodb::bson::doc! {}).await;
    assert_eq!(tokens.len(), 5);
}

#[tokio::test]
async fn without_mail_nobody_is_asked_to_verify_anything() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.clock.advance(Duration::from_hours(48));
    auth.login("ada").await;
    auth.refresh(&ada.refresh_token).await.unwrap();
    assert!(auth.all::<mongodb::bson::Document>("oneTimeTokens", mongodb::bson::doc! {}).await.is_empty());
}

#[tokio::test]
async fn another_address_counts_from_when_it_is_verified_and_the_old_one_is_told() {
    let auth = Auth::start_with_mail().await;
    let (_connection, mut events) = listen(&auth).await;
    let ada = auth.register("ada").await;
    let first = next_of(&mut events, ASKED).await;
    let body = json!({"email": "Countess@example.org", "password": PASSWORD});
    let (status, _) = auth.post_by(&ada, "/api/v1/auth/change-email", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let asked = next_of(&mut events, ASKED).await;
    assert_eq!(asked["email"], "Countess@example.org");
    assert_eq!(auth.get("/api/v1/users/me", &ada.access_token).await.1["email"], "ada@example.org");

    assert_eq!(verify(&auth, &asked["token"]).await.0, StatusCode::NO_CONTENT);

    let (_, me) = auth.get("/api/v1/users/me", &ada.access_token).await;
    assert_eq!((&me["email"], &me["emailVerified"]), (&"Countess@example.org".into(), &true.into()));
    let changed = next_of(&mut events, "user.email-changed").await;
    assert_eq!(changed["previousEmail"], "ada@example.org");
    // What was sent to the old address is good for nothing any more.
    assert_eq!(verify(&auth, &first["token"]).await.0, StatusCode::BAD_REQUEST);
    let by_new = json!({"email": "countess@example.org", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", &by_new).await.0, StatusCode::OK);
    let by_old = json!({"email": "ada@example.org", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", &by_old).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_of_somebody_else_cannot_be_had_though_it_was_free_when_it_was_asked_for() {
    let auth = Auth::start_with_mail().await;
    let (_connection, mut events) = listen(&auth).await;
    let ada = auth.register("ada").await;
    next_of(&mut events, ASKED).await;
    let change = async |email: &str| {
        auth.post_by(&ada, "/api/v1/auth/change-email", &json!({"email": email, "password": PASSWORD})).await
    };
    assert_eq!(change("eve@example.org").await.0, StatusCode::ACCEPTED);
    let asked = next_of(&mut events, ASKED).await;
    auth.register("eve").await;
    let refused = verify(&auth, &asked["token"]).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, refused), "email-taken");
    assert_eq!(Auth::refused(StatusCode::CONFLICT, change("EVE@example.org").await), "email-taken");
}

#[tokio::test]
async fn another_address_takes_the_password() {
    let auth = Auth::start_with_mail().await;
    let ada = auth.register("ada").await;
    let body = json!({"email": "new@example.org", "password": "another password"});
    let refused = auth.post_by(&ada, "/api/v1/auth/change-email", &body).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, refused), "wrong-password");
    let (_, problem) = auth.post_by(&ada, "/api/v1/auth/change-email", &json!({"email": "nowhere"})).await;
    assert_eq!(fields(&problem), ["email", "password"]);
}

#[tokio::test]
async fn without_mail_another_address_counts_at_once() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let body = json!({"email": "new@example.org", "password": PASSWORD});
    let (status, me) = auth.post_by(&ada, "/api/v1/auth/change-email", &body).await;
    assert_eq!((status, &me["email"]), (StatusCode::OK, &"new@example.org".into()), "{me}");
}
