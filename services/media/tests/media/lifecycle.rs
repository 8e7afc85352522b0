//! Whose files are whose, and how they go.

use contract::id::MediaId;
use reqwest::{Method, StatusCode};

use crate::service::{Service, problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_nothing_and_deletes_nothing() {
    let service = Service::start().await;
    let (ada, stranger) = (service.user(), service.user());
    let path = format!("/media/{}", ada.stored("x.txt", b"mine").await.id);
    let content = format!("{path}/content");

    for answer in [
        stranger.get(&path).await,
        stranger.get(&content).await,
        stranger.request(Method::GET, &content).header("if-none-match", "*").send().await.unwrap(),
        stranger.request(Method::DELETE, &path).send().await.unwrap(),
        stranger.get(&format!("/media/{}", MediaId::generate())).await,
        stranger.get("/media/not-an-id").await,
    ] {
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(problem(answer).await.code, "not-found");
    }
    assert_eq!(ada.get(&content).await.text().await.unwrap(), "mine");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_anything_without_a_token() {
    let service = Service::start().await;
    let path = format!("/api/v1/media/{}", service.user().stored("x.txt", b"mine").await.id);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/content")),
        (Method::DELETE, path),
        (Method::POST, "/api/v1/media".to_owned()),
    ] {
        let answer = service.http.request(method, format!("{}{path}", service.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(problem(answer).await.code, "unauthenticated");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_gone_with_its_object() {
    let service = Service::start().await;
    let ada = service.user();
    let path = format!("/media/{}", ada.stored("x.txt", b"mine").await.id);
    let kept = ada.stored("y.txt", b"kept").await;
    assert_eq!(service.objects().await.len(), 2);

    let deleted = ada.request(Method::DELETE, &path).send().await.unwrap();

    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(ada.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ada.get(&format!("{path}/content")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ada.request(Method::DELETE, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(service.objects().await.len(), 1);
    assert_eq!(ada.get(&format!("/media/{}/content", kept.id)).await.text().await.unwrap(), "kept");
    service.stop().await;
}
