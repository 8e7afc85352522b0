use futures::future::join_all;
use futures::join;
use reqwest::StatusCode;
use serde_json::{Value, json};

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

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_answered_again_under_its_key_and_makes_one_account() {
    let auth = Auth::start().await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "a fine password"});
    let (first, again) = join!(register(&auth, "k-1", &body), register(&auth, "k-1", &body));
    let later = register(&auth, "\"k-1\"", &body).await;
    for (status, answer) in [&first, &again, &later] {
        assert_eq!(*status, StatusCode::CREATED, "{answer}");
        assert_eq!(answer["user"], first.1["user"]);
        let token = answer["accessToken"].as_str().unwrap();
        assert_eq!(auth.get("/api/v1/users/me", token).await.0, StatusCode::OK, "each answer is a session that works");
    }
    assert_eq!(auth.all::<mongodb::bson::Document>("users", mongodb::bson::doc! {}).await.len(), 1);
    let documents = auth.documents().await;
    assert!(!documents.contains("k-1"), "the key itself is not kept: {documents}");
}

#[tokio::test]
async fn a_key_of_a_registration_opens_no_account_to_who_does_not_know_its_password() {
    let auth = Auth::start().await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "a fine password"});
    assert_eq!(register(&auth, "k-1", &body).await.0, StatusCode::CREATED);
    for (field, value) in [("password", "another password"), ("username", "eve"), ("displayName", "Eve")] {
        let mut other = body.clone();
        other[field] = value.into();
        let (status, problem) = register(&auth, "k-1", &other).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {problem}");
        assert_eq!(problem["code"], "idempotency-key-reused");
    }
    assert_eq!(Auth::refused(StatusCode::CONFLICT, register(&auth, "k-2", &body).await), "email-taken");
    auth.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(Auth::refused(StatusCode::CONFLICT, register(&auth, "k-1", &body).await), "email-taken");
}

#[tokio::test]
async fn guesses_under_the_key_of_a_registration_are_counted_like_any_others() {
    let auth = Auth::start().await;
    let body = json!({"email": "ada@example.org", "username": "ada", "password": "a fine password"});
    assert_eq!(register(&auth, "k-1", &body).await.0, StatusCode::CREATED);
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let mut other = body.clone();
        other["password"] = format!("guess number {guess}").into();
        statuses.push(register(&auth, "k-1", &other).await.0);
    }
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    assert_eq!(Auth::refused(StatusCode::TOO_MANY_REQUESTS, register(&auth, "k-1", &body).await), "login-locked");
}

async fn register(auth: &Auth, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = auth.client.post(auth.url("/api/v1/auth/register")).header("Idempotency-Key", key).json(body);
    let answer = request.header("x-forwarded-for", "192.0.2.7").send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}
