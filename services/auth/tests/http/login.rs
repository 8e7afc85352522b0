use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, PASSWORD, fields};

#[tokio::test]
async fn one_logs_in_by_email_address_or_user_name_in_any_case() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for who in [json!({"email": "ADA@example.org"}), json!({"username": "Ada"})] {
        let mut body = who;
        body["password"] = PASSWORD.into();
        let (status, answer) = auth.post("/api/v1/auth/login", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["user"], ada.user);
        assert_ne!(answer["refreshToken"], ada.refresh_token);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_refused_alike() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let wrong = json!({"email": "ada@example.org", "password": "another password"});
    let unknown = json!({"email": "eve@example.org", "password": "another password"});
    let (wrong_status, mut wrong) = auth.post("/api/v1/auth/login", &wrong).await;
    let (unknown_status, mut unknown) = auth.post("/api/v1/auth/login", &unknown).await;
    assert_eq!((wrong_status, unknown_status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(wrong["code"], "invalid-credentials");
    for problem in [&mut wrong, &mut unknown] {
        problem.as_object_mut().unwrap().remove("traceId");
    }
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn an_unknown_account_costs_as_much_work_as_a_known_one() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let time = async |email: &str, round: usize| {
        let body = json!({"email": email, "password": "another password"});
        // From an address of its own, or the lockout would answer.
        let request =
            auth.client.post(auth.url("/api/v1/auth/login")).header("x-forwarded-for", format!("192.0.2.{round}"));
        let began = std::time::Instant::now();
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        began.elapsed()
    };
    // What else the machine does can only lengthen a time, so the shortest ones are compared, of as many as it takes.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for round in 0..100 {
        known = known.min(time("ada@example.org", round).await);
        unknown = unknown.min(time("nobody@example.org", round).await);
        if round >= 4 && known < unknown * 3 {
            return;
        }
    }
    panic!("unknown accounts are answered in {unknown:?}, known ones in {known:?}");
}

#[tokio::test]
async fn a_password_typed_on_another_system_is_the_same() {
    let auth = Auth::start().await;
    let body = json!({"email": "zoe@example.org", "username": "zoe", "password": "Zoe\u{308} au cafe\u{301}"});
    assert_eq!(auth.post("/api/v1/auth/register", &body).await.0, StatusCode::CREATED);
    let body = json!({"email": "zoe@example.org", "password": "Zo\u{eb} au caf\u{e9}"});
    assert_eq!(auth.post("/api/v1/auth/login", &body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let auth = Auth::start().await;
    let (status, problem) = auth.post("/api/v1/auth/login", &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(fields(&problem), ["email", "password"]);
}

#[tokio::test]
async fn a_password_kept_with_weaker_parameters_is_hashed_anew_at_login() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    auth.keep_weak_hash("ada").await;
    assert!(auth.documents().await.contains("m=8192,t=1,p=1"));
    auth.login("ada").await;
    let documents = auth.documents().await;
    assert!(documents.contains("m=19456,t=2,p=1") && !documents.contains("m=8192"), "{documents}");
    auth.login("ada").await;
}

#[tokio::test]
async fn a_hash_of_bcrypt_is_accepted_and_replaced_at_login() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    auth.keep_bcrypt_hash("ada").await;
    assert!(auth.documents().await.contains("$2b$05$"));
    let wrong = json!({"username": "ada", "password": "another password"});
    assert_eq!(auth.post("/api/v1/auth/login", &wrong).await.0, StatusCode::UNAUTHORIZED);
    auth.login("ada").await;
    let documents = auth.documents().await;
    assert!(documents.contains("m=19456,t=2,p=1") && !documents.contains("$2b$"), "{documents}");
    auth.login("ada").await;
}
