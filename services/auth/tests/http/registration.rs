use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, fields};

#[tokio::test]
async fn whoever_registers_is_logged_in_and_sees_their_account() {
    let auth = Auth::start().await;
    let body = json!({"email": "Ada@Example.org", "username": "Ada", "password": "a fine password", "displayName": "Ada Lovelace"});
    let (status, answer) = auth.post("/api/v1/auth/register", &body).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(answer["tokenType"], "Bearer");
    assert_eq!(answer["expiresIn"], 600);
    let (status, me) = auth.get("/api/v1/users/me", answer["accessToken"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(me, answer["user"]);
    assert_eq!(me["email"], "Ada@Example.org");
    assert_eq!(me["username"], "Ada");
    assert_eq!(me["displayName"], "Ada Lovelace");
    assert_eq!(me["roles"], json!(["user"]));
}

#[tokio::test]
async fn the_display_name_is_the_user_name_unless_given() {
    let auth = Auth::start().await;
    assert_eq!(auth.register("ada").await.user["displayName"], "ada");
}

#[tokio::test]
async fn an_answer_with_tokens_is_never_cached() {
    let auth = Auth::start().await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "a fine password"});
    let answer = auth.client.post(auth.url("/api/v1/auth/register")).json(&body).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn every_faulty_field_is_named_at_once() {
    let auth = Auth::start().await;
    let body = json!({"email": "nobody", "username": "a b", "password": "short", "displayName": "x".repeat(65)});
    let (status, problem) = auth.post("/api/v1/auth/register", &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["code"], "validation-failed");
    assert_eq!(fields(&problem), ["email", "username", "displayName", "password"]);
    assert!(problem["traceId"].is_string());
}

#[tokio::test]
async fn a_missing_field_is_named_too() {
    let auth = Auth::start().await;
    let (status, problem) = auth.post("/api/v1/auth/register", &json!({"username": "ada"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(fields(&problem), ["email", "password"]);
}

#[tokio::test]
async fn a_common_password_is_refused() {
    let auth = Auth::start().await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "Password123"});
    let (status, problem) = auth.post("/api/v1/auth/register", &body).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::BAD_REQUEST, "validation-failed"));
    assert_eq!(fields(&problem), ["password"]);
}

#[tokio::test]
async fn an_email_address_is_taken_in_any_case() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let body = json!({"email": "ADA@Example.Org", "username": "other", "password": "a fine password"});
    let (status, problem) = auth.post("/api/v1/auth/register", &body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["code"], "email-taken");
    assert_eq!(fields(&problem), ["email"]);
}

#[tokio::test]
async fn a_username_is_taken_in_any_case() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let body = json!({"email": "other@example.org", "username": "ADA", "password": "a fine password"});
    let (status, problem) = auth.post("/api/v1/auth/register", &body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["code"], "username-taken");
    assert_eq!(fields(&problem), ["username"]);
}

#[tokio::test]
async fn of_many_who_register_one_name_at_once_exactly_one_gets_it() {
    let auth = Auth::start().await;
    let bodies: Vec<_> = (0..6)
        .map(|n| json!({"email": format!("ada{n}@example.org"), "username": (["ada", "Ada", "ADA"][n % 3]), "password": "a fine password"}))
        .collect();
    let answers = join_all(bodies.iter().map(|body| auth.post("/api/v1/auth/register", body))).await;
    let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    let refused = answers
        .iter()
        .filter(|(status, problem)| *status == StatusCode::CONFLICT && problem["code"] == "username-taken")
        .count();
    assert_eq!((made, refused), (1, 5), "{answers:?}");
}

#[tokio::test]
async fn the_database_keeps_no_password_and_no_refresh_token() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let secret = ada.refresh_token.split_once('.').unwrap().1;
    let documents = auth.documents().await;
    assert!(documents.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{documents}");
    assert!(!documents.contains("a fine password") && !documents.contains(secret), "{documents}");
}
