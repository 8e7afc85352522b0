use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::events::{listen, next_of};
use crate::service::{Auth, PASSWORD, fields};

const NEW: &str = "another fine password";
const ASKED: &str = "user.password-reset-requested";

async fn forgot(auth: &Auth, email: &str) -> (StatusCode, Value) {
    auth.post("/api/v1/auth/forgot-password", &json!({"email": email})).await
}

async fn reset(auth: &Auth, token: &Value, password: &str) -> (StatusCode, Value) {
    auth.post("/api/v1/auth/reset-password", &json!({"token": token, "password": password})).await
}

async fn log_in(auth: &Auth, password: &str) -> StatusCode {
    auth.post("/api/v1/auth/login", &json!({"username": "ada", "password": password})).await.0
}

#[tokio::test]
async fn a_reset_sets_the_password_ends_all_sessions_and_works_once() {
    let auth = Auth::start_with_mail().await;
    let ada = auth.register("ada").await;
    let there = auth.login("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    assert_eq!(forgot(&auth, "ADA@example.org").await.0, StatusCode::ACCEPTED);
    let asked = next_of(&mut events, ASKED).await;
    assert_eq!(asked["email"], "ada@example.org");

    assert_eq!(reset(&auth, &asked["token"], NEW).await.0, StatusCode::NO_CONTENT);

    for ended in [&ada, &there] {
        assert_eq!(auth.get("/api/v1/users/me", &ended.access_token).await.0, StatusCode::UNAUTHORIZED);
        assert!(auth.is_revoked_in_redis(&ended.session()).await);
        auth.refresh(&ended.refresh_token).await.unwrap_err();
    }
    assert_eq!(log_in(&auth, PASSWORD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&auth, NEW).await, StatusCode::OK);
    assert_eq!(next_of(&mut events, "user.password-changed").await, json!({"userId": ada.user["id"]}));
    let again = reset(&auth, &asked["token"], "yet another password").await;
    assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, again), "invalid-token");
}

#[tokio::test]
async fn a_reset_shows_that_mail_arrives() {
    let auth = Auth::start_with_mail().await;
    auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    forgot(&auth, "ada@example.org").await;
    let asked = next_of(&mut events, ASKED).await;
    reset(&auth, &asked["token"], NEW).await;
    auth.clock.advance(Duration::from_hours(48));
    assert_eq!(log_in(&auth, NEW).await, StatusCode::OK);
}

#[tokio::test]
async fn a_password_that_may_not_be_chosen_leaves_the_token_good() {
    let auth = Auth::start_with_mail().await;
    auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    forgot(&auth, "ada@example.org").await;
    let asked = next_of(&mut events, ASKED).await;
    for bad in ["short", "password123", "ada@example.org"] {
        let (status, problem) = reset(&auth, &asked["token"], bad).await;
        assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["password".to_owned()]));
    }
    assert_eq!(reset(&auth, &asked["token"], NEW).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_unknown_address_is_answered_alike_and_no_sooner() {
    let auth = Auth::start_with_mail().await;
    auth.register("ada").await;
    let began = std::time::Instant::now();
    let (unknown_status, unknown) = forgot(&auth, "nobody@example.org").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    let (known_status, known) = forgot(&auth, "ada@example.org").await;
    assert_eq!((unknown_status, unknown), (known_status, known));
    assert_eq!(fields(&forgot(&auth, "nowhere").await.1), ["email"]);
}

#[tokio::test]
async fn a_token_is_good_for_an_hour_and_three_are_sent_at_most() {
    let auth = Auth::start_with_mail().await;
    auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    for _ in 0..5 {
        assert_eq!(forgot(&auth, "ada@example.org").await.0, StatusCode::ACCEPTED);
    }
    let purpose = mongodb::bson::doc! {"purpose": "reset-password"};
    assert_eq!(auth.all::<mongodb::bson::Document>("oneTimeTokens", purpose).await.len(), 3);
    let asked = next_of(&mut events, ASKED).await;
    auth.clock.advance(Duration::from_hours(1));
    assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, reset(&auth, &asked["token"], NEW).await), "invalid-token");
}

#[tokio::test]
async fn of_several_resets_with_one_token_exactly_one_counts() {
    let auth = Auth::start_with_mail().await;
    auth.register("ada").await;
    let (_connection, mut events) = listen(&auth).await;
    forgot(&auth, "ada@example.org").await;
    let token = next_of(&mut events, ASKED).await["token"].clone();
    let passwords: Vec<String> = (0..4).map(|n| format!("a fine password, number {n}")).collect();
    let answers = futures::future::join_all(passwords.iter().map(|password| reset(&auth, &token, password))).await;
    let done = answers.iter().filter(|(status, _)| *status == StatusCode::NO_CONTENT).count();
    assert_eq!(done, 1, "{answers:?}");
    let at = answers.iter().position(|(status, _)| *status == StatusCode::NO_CONTENT).unwrap();
    assert_eq!(log_in(&auth, &passwords[at]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_reset_leaves_the_second_step_as_it_is() {
    let auth = Auth::start_with_mail().await;
    let ada = auth.register("ada").await;
    let (_, begun) = auth.post_by(&ada, "/api/v1/auth/mfa/totp", &json!({"password": PASSWORD})).await;
    assert!(begun["uri"].as_str().unwrap().starts_with("otpauth://totp/chat.example.org:ada?secret="), "{begun}");
    // Past the service: what matters here is that a second step is there.
    let users = auth.database.collection::<mongodb::bson::Document>("users");
    let pipeline = vec![mongodb::bson::doc! {"$set": {"secondStep": {
        "secret": "$pendingSecondStep.secret", "lastStep": 0_i64, "recovery": [], "since": "$createdAt",
    }}}];
    users.update_one(mongodb::bson::doc! {}, pipeline).await.unwrap();
    let (_connection, mut events) = listen(&auth).await;
    forgot(&auth, "ada@example.org").await;
    let asked = next_of(&mut events, ASKED).await;
    assert_eq!(reset(&auth, &asked["token"], NEW).await.0, StatusCode::NO_CONTENT);
    assert_eq!(log_in(&auth, NEW).await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn without_mail_a_forgotten_password_is_told_to_be_an_administrators_matter() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let refused = forgot(&auth, "ada@example.org").await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, refused), "email-not-configured");
}

#[tokio::test]
async fn a_change_of_password_ends_all_other_sessions_and_takes_the_old_one() {
    let auth = Auth::start().await;
    let here = auth.register("ada").await;
    let there = auth.login("ada").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"currentPassword": current, "password": new});
        auth.post_by(&here, "/api/v1/auth/change-password", &body).await
    };
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, change("a wrong password", NEW).await), "wrong-password");
    assert_eq!(fields(&change(PASSWORD, "Password123").await.1), ["password"]);

    assert_eq!(change(PASSWORD, NEW).await.0, StatusCode::NO_CONTENT);

    assert_eq!(auth.get("/api/v1/users/me", &there.access_token).await.0, StatusCode::UNAUTHORIZED);
    auth.refresh(&there.refresh_token).await.unwrap_err();
    let here = auth.refresh(&here.refresh_token).await.unwrap();
    assert_eq!(auth.get("/api/v1/users/me", &here.access_token).await.0, StatusCode::OK);
    assert_eq!(log_in(&auth, NEW).await, StatusCode::OK);
}

#[tokio::test]
async fn a_session_that_outlived_a_change_of_password_by_accident_is_refreshed_no_more() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    // As after a crash between the change of the password and the end of the sessions.
    let users = auth.database.collection::<mongodb::bson::Document>("users");
    users.update_one(mongodb::bson::doc! {}, mongodb::bson::doc! {"$inc": {"epoch": 1_i64}}).await.unwrap();
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "invalid-refresh-token");
    assert_eq!(auth.get("/api/v1/users/me", &ada.access_token).await.0, StatusCode::UNAUTHORIZED);
}
