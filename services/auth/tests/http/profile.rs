use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Auth, fields};

#[tokio::test]
async fn others_see_neither_email_address_nor_roles() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let eve = auth.register("eve").await;
    let path = format!("/api/v1/users/{}", ada.user["id"].as_str().unwrap());
    let (status, seen) = auth.get(&path, &eve.access_token).await;
    assert_eq!(status, StatusCode::OK);
    let expected =
        json!({"id": ada.user["id"], "username": "ada", "displayName": "ada", "createdAt": ada.user["createdAt"]});
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    for id in ["01JDAYB7N8000000000000000A", "nobody"] {
        let (status, problem) = auth.get(&format!("/api/v1/users/{id}"), &ada.access_token).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::NOT_FOUND, "not-found"));
    }
}

#[tokio::test]
async fn a_changed_name_is_seen_by_others_and_found() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let eve = auth.register("eve").await;
    let change = json!({"displayName": "Countess of $Lovelace", "username": "Augusta"});
    let (status, me) = auth.patch("/api/v1/users/me", &ada.access_token, &change).await;
    assert_eq!(status, StatusCode::OK, "{me}");
    assert_eq!((&me["displayName"], &me["username"]), (&change["displayName"], &change["username"]));
    assert_eq!(auth.find("countess", &eve.access_token).await, ["Augusta"]);
    assert_eq!(auth.find("august", &eve.access_token).await, ["Augusta"]);
    assert!(auth.find("ada", &eve.access_token).await.is_empty());
}

#[tokio::test]
async fn a_new_username_leaves_the_display_name_findable() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    auth.patch("/api/v1/users/me", &ada.access_token, &json!({"username": "countess"})).await;
    assert_eq!(auth.find("ada", &ada.access_token).await, ["countess"]);
    auth.patch("/api/v1/users/me", &ada.access_token, &json!({"username": "ADA"})).await;
    assert_eq!(auth.find("ada", &ada.access_token).await, ["ADA"]);
}

#[tokio::test]
async fn a_name_of_somebody_else_cannot_be_taken_over() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let eve = auth.register("eve").await;
    let (status, problem) = auth.patch("/api/v1/users/me", &eve.access_token, &json!({"username": "ADA"})).await;
    assert_eq!((status, problem["code"].as_str().unwrap()), (StatusCode::CONFLICT, "username-taken"));
    assert_eq!(fields(&problem), ["username"]);
}

#[tokio::test]
async fn what_cannot_be_changed_is_named() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let change = json!({"email": "new@example.org", "username": "?", "displayName": ""});
    let (status, problem) = auth.patch("/api/v1/users/me", &ada.access_token, &change).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(fields(&problem), ["email", "username", "displayName"]);
}

#[tokio::test]
async fn a_picture_is_seen_by_others_until_it_is_taken_away() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let eve = auth.register("eve").await;
    let avatar = "01JDAYB7N8000000000000000A";
    let path = format!("/api/v1/users/{}", ada.user["id"].as_str().unwrap());
    let change = async |change| auth.patch("/api/v1/users/me", &ada.access_token, &change).await;
    assert_eq!(change(json!({"avatarId": avatar})).await.1["avatarId"], avatar);
    assert_eq!(change(json!({"displayName": "Countess"})).await.1["avatarId"], avatar);
    assert_eq!(auth.get(&path, &eve.access_token).await.1["avatarId"], avatar);
    assert!(change(json!({"avatarId": null})).await.1.get("avatarId").is_none());
    assert!(auth.get(&path, &eve.access_token).await.1.get("avatarId").is_none());
    assert_eq!(change(json!({"avatarId": "a picture"})).await.0, StatusCode::BAD_REQUEST);
}
