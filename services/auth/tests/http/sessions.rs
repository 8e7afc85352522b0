use reqwest::StatusCode;
use serde_json::Value;

use crate::service::Auth;

#[tokio::test]
async fn the_list_shows_where_one_is_logged_in_newest_first() {
    let auth = Auth::start().await;
    let first = auth.register("ada").await;
    auth.clock.advance(std::time::Duration::from_secs(1));
    let second = auth.login("ada").await;
    auth.register("eve").await;
    let (status, list) = auth.get("/api/v1/auth/sessions", &first.access_token).await;
    assert_eq!(status, StatusCode::OK);
    let items = list["items"].as_array().unwrap();
    let ids: Vec<&Value> = items.iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&second.session(), &first.session()]);
    assert_eq!((&items[0]["current"], &items[1]["current"]), (&false.into(), &true.into()));
    assert_eq!(items[1]["userAgent"], "tests/1");
    assert_eq!(items[1]["address"], "192.0.2.7");
}

#[tokio::test]
async fn a_session_can_be_ended_from_another() {
    let auth = Auth::start().await;
    let here = auth.register("ada").await;
    let there = auth.login("ada").await;
    let path = format!("/api/v1/auth/sessions/{}", there.session());
    assert_eq!(auth.delete(&path, &here.access_token).await.0, StatusCode::NO_CONTENT);
    assert_eq!(auth.get("/api/v1/users/me", &there.access_token).await.0, StatusCode::UNAUTHORIZED);
    assert!(auth.is_revoked_in_redis(&there.session()).await);
    let (_, list) = auth.get("/api/v1/auth/sessions", &here.access_token).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(auth.delete(&path, &here.access_token).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_of_somebody_else_is_not_found() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let eve = auth.register("eve").await;
    let path = format!("/api/v1/auth/sessions/{}", ada.session());
    assert_eq!(auth.delete(&path, &eve.access_token).await.0, StatusCode::NOT_FOUND);
    auth.refresh(&ada.refresh_token).await.unwrap();
}

#[tokio::test]
async fn without_a_token_nothing_is_shown() {
    let auth = Auth::start().await;
    for path in [
        "/api/v1/auth/sessions",
        "/api/v1/users/me",
        "/api/v1/users?query=a",
        "/api/v1/users/01JDAYB7N8000000000000000A",
    ] {
        let answer = auth.client.get(auth.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(auth.get(path, "not.a.token").await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
}
