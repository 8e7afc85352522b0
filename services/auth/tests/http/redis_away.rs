//! Redis counts attempts. While it is away, nothing that somebody could guess at is looked at; what a token in hand allows
//! goes on.

use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, PASSWORD};

#[tokio::test]
async fn while_redis_is_away_nobody_logs_in_and_who_is_logged_in_goes_on_reading_and_refreshing() {
    let mut redis = servers::Redis::start().unwrap();
    let auth = Auth::start_with_redis(redis.url()).await;
    let ada = auth.register("ada").await;
    redis.kill();
    let login = json!({"username": "ada", "password": PASSWORD});
    let refused = auth.post("/api/v1/auth/login", &login).await;
    assert!(refused.1["detail"].as_str().unwrap().contains("counted"), "{}", refused.1);
    assert_eq!(Auth::refused(StatusCode::SERVICE_UNAVAILABLE, refused), "unavailable");
    let change = json!({"currentPassword": PASSWORD, "password": "another fine password"});
    let refused = auth.post_by(&ada, "/api/v1/auth/change-password", &change).await;
    assert_eq!(Auth::refused(StatusCode::SERVICE_UNAVAILABLE, refused), "unavailable");
    assert_eq!(auth.get("/api/v1/users/me", &ada.access_token).await.0, StatusCode::OK);
    auth.refresh(&ada.refresh_token).await.unwrap();
    redis.restart().unwrap();
    auth.until("one can log in again", async || auth.post("/api/v1/auth/login", &login).await.0 == StatusCode::OK)
        .await;
}
