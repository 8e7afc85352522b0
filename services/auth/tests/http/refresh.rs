use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, fields};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_refresh_brings_new_tokens_of_the_same_session() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let next = auth.refresh(&ada.refresh_token).await.unwrap();
    assert_ne!(next.refresh_token, ada.refresh_token);
    assert_ne!(next.access_token, ada.access_token);
    assert_eq!((next.session(), next.user.clone()), (ada.session(), ada.user));
    let (status, me) = auth.get("/api/v1/users/me", &next.access_token).await;
    assert_eq!((status, me), (StatusCode::OK, next.user));
}

#[tokio::test]
async fn a_reused_refresh_token_revokes_its_family() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let second = auth.refresh(&ada.refresh_token).await.unwrap();
    let third = auth.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "refresh-token-reused");
    assert_eq!(auth.refresh(&third.refresh_token).await.unwrap_err(), "invalid-refresh-token");
    assert_eq!(auth.get("/api/v1/users/me", &third.access_token).await.0, StatusCode::UNAUTHORIZED);
    assert!(auth.is_revoked_in_redis(&ada.session()).await);
}

#[tokio::test]
async fn other_sessions_of_the_user_outlive_the_revoked_family() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let elsewhere = auth.login("ada").await;
    let second = auth.refresh(&ada.refresh_token).await.unwrap();
    auth.refresh(&second.refresh_token).await.unwrap();
    auth.refresh(&ada.refresh_token).await.unwrap_err();
    auth.refresh(&elsewhere.refresh_token).await.unwrap();
}

#[tokio::test]
async fn of_refreshes_at_once_nobody_is_logged_out() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for round in 0..5 {
        let start = if round == 0 { ada.refresh_token.clone() } else { auth.login("ada").await.refresh_token };
        let answers = join_all((0..8).map(|_| auth.refresh(&start))).await;
        let tokens: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().refresh_token).collect();
        // Whichever answer a client keeps, it goes on, and so do the others.
        for answer in join_all(tokens.iter().map(|token| auth.refresh(token))).await {
            let next = answer.unwrap();
            assert_eq!(auth.get("/api/v1/users/me", &next.access_token).await.0, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_forgiven_once_even_hours_later() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.refresh(&ada.refresh_token).await.unwrap();
    auth.clock.advance(HOUR);
    let second = auth.refresh(&ada.refresh_token).await.unwrap();
    auth.clock.advance(HOUR);
    let third = auth.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(auth.get("/api/v1/users/me", &third.access_token).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_lost_answer_is_not_forgiven_twice() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for _ in 0..2 {
        auth.refresh(&ada.refresh_token).await.unwrap();
        auth.clock.advance(HOUR);
    }
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "refresh-token-reused");
}

#[tokio::test]
async fn a_token_made_up_for_a_known_session_is_refused_and_harms_nobody() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let eve = auth.register("eve").await;
    let made_up = format!("{}.{}", ada.session(), eve.refresh_token.split_once('.').unwrap().1);
    assert_eq!(auth.refresh(&made_up).await.unwrap_err(), "invalid-refresh-token");
    auth.refresh(&ada.refresh_token).await.unwrap();
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let auth = Auth::start().await;
    for text in ["", "x", "01JDAYB7N8000000000000000A.", "\u{1f511}"] {
        assert_eq!(auth.refresh(text).await.unwrap_err(), "invalid-refresh-token", "{text:?}");
    }
    let (status, problem) = auth.post("/api/v1/auth/refresh", &json!({})).await;
    assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["refreshToken".to_owned()]));
}

#[tokio::test]
async fn a_session_that_nobody_uses_for_a_month_is_over() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.clock.advance(29 * DAY);
    let second = auth.refresh(&ada.refresh_token).await.unwrap();
    auth.clock.advance(30 * DAY);
    assert_eq!(auth.refresh(&second.refresh_token).await.unwrap_err(), "invalid-refresh-token");
}

#[tokio::test]
async fn sessions_outlive_a_restart_of_the_service() {
    let mut auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.restart().await;
    assert_eq!(auth.get("/api/v1/users/me", &ada.access_token).await.0, StatusCode::OK);
    let second = auth.refresh(&ada.refresh_token).await.unwrap();
    auth.restart().await;
    auth.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(auth.refresh(&ada.refresh_token).await.unwrap_err(), "refresh-token-reused");
}

#[tokio::test]
async fn an_access_token_is_refused_once_it_has_expired() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.clock.advance(HOUR);
    let (status, problem) = auth.get("/api/v1/users/me", &ada.access_token).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::UNAUTHORIZED, "token-expired"));
}
