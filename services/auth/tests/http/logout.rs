use futures::StreamExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::Auth;

#[tokio::test]
async fn a_log_out_ends_both_tokens_at_once() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    assert_eq!(auth.post_as("/api/v1/auth/logout", &ada.access_token).await.0, StatusCode::NO_CONTENT);
    let (status, problem) = auth.get("/api/v1/users/me", &ada.access_token).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::UNAUTHORIZED, "session-revoked"));
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "invalid-refresh-token");
}

#[tokio::test]
async fn a_log_out_marks_the_session_in_redis_for_the_life_of_an_access_token() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    assert!(!auth.is_revoked_in_redis(&ada.session()).await);
    auth.post_as("/api/v1/auth/logout", &ada.access_token).await;
    let seconds = auth.redis_ttl(&format!("auth:revoked:{}", ada.session())).await;
    assert!((600..=610).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_log_out_is_published_after_the_mark_is_there() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let mut listener = auth.redis().get_async_pubsub().await.unwrap();
    listener.subscribe("auth:revocations").await.unwrap();
    auth.post_as("/api/v1/auth/logout", &ada.access_token).await;
    // Channels are common to all databases of a server: other tests may be heard too.
    let mut messages = listener.on_message();
    loop {
        let message: String = messages.next().await.unwrap().get_payload().unwrap();
        let message: Value = serde_json::from_str(&message).unwrap();
        if message == json!({"sid": ada.session(), "userId": ada.user["id"]}) {
            break;
        }
    }
    assert!(auth.is_revoked_in_redis(&ada.session()).await);
}

#[tokio::test]
async fn with_the_access_token_expired_the_refresh_token_logs_out() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.clock.advance(std::time::Duration::from_hours(1));
    let (status, _) = auth.post("/api/v1/auth/logout", &json!({"refreshToken": ada.refresh_token})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "invalid-refresh-token");
}

#[tokio::test]
async fn a_log_out_by_nobody_is_refused() {
    let auth = Auth::start().await;
    assert_eq!(auth.post("/api/v1/auth/logout", &json!({})).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_of_the_user_and_nobody_elses() {
    let auth = Auth::start().await;
    let here = auth.register("ada").await;
    let there = auth.login("ada").await;
    let eve = auth.register("eve").await;
    assert_eq!(auth.post_as("/api/v1/auth/logout-all", &here.access_token).await.0, StatusCode::NO_CONTENT);
    for ended in [&here, &there] {
        assert_eq!(auth.get("/api/v1/users/me", &ended.access_token).await.0, StatusCode::UNAUTHORIZED);
        assert!(auth.is_revoked_in_redis(&ended.session()).await);
        auth.refresh(&ended.refresh_token).await.unwrap_err();
    }
    auth.refresh(&eve.refresh_token).await.unwrap();
    auth.login("ada").await;
}

#[tokio::test]
async fn a_log_out_while_redis_is_down_is_made_known_when_it_is_back() {
    let mut redis = servers::Redis::start().unwrap();
    let auth = Auth::start_with_redis(redis.url()).await;
    let ada = auth.register("ada").await;
    redis.kill();
    assert_eq!(auth.post_as("/api/v1/auth/logout", &ada.access_token).await.0, StatusCode::NO_CONTENT);
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "invalid-refresh-token");
    redis.restart().unwrap();
    auth.until("the session is marked in Redis", async || auth.is_revoked_in_redis(&ada.session()).await).await;
}

#[tokio::test]
async fn the_rights_that_the_service_has_in_redis_are_enough() {
    // As docs/reference/wiring.md gives them.
    let acl = "user default off\nuser auth on >secret ~auth:* resetchannels &auth:* +@all -@dangerous\n";
    let redis = servers::Redis::start_with_users(acl).unwrap();
    let auth = Auth::start_with_redis(redis.url_for("auth", "secret")).await;
    let ada = auth.register("ada").await;
    let wrong = json!({"username": "ada", "password": "a wrong password"});
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(auth.post("/api/v1/auth/login", &wrong).await.0);
    }
    assert!(answers.contains(&StatusCode::TOO_MANY_REQUESTS), "attempts are counted: {answers:?}");
    auth.post_as("/api/v1/auth/logout", &ada.access_token).await;
    assert!(auth.is_revoked_in_redis(&ada.session()).await);
}
