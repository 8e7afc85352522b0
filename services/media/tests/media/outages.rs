//! What happens while the object store is away.

use std::fs;

use reqwest::{Method, StatusCode};
use servers::ObjectStorage;

use crate::service::{Service, noise, problem, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_makes_uploads_unavailable_and_says_so_to_probes() {
    let wrong = tempfile::NamedTempFile::new().unwrap();
    fs::write(wrong.path(), "not-the-secret").unwrap();
    let path = wrong.path().to_str().unwrap();
    let service =
        Service::start_with(ObjectStorage::shared(), &[("OBJECT_STORAGE__SECRET_ACCESS_KEY_FILE", path)]).await;
    let ada = service.user();
    for length in [1_000, 9 << 20] {
        let answer = ada.upload("x.bin", &noise(1, length)).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem = problem(answer).await;
        assert_eq!(problem.code, "unavailable");
        assert!(!format!("{problem:?}").contains("Signature"), "the client is told of our credentials: {problem:?}");
    }
    assert_eq!(service.count("ready").await, 0);
    let ready = service.http.get(format!("{}/readyz", service.admin_url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reasons = ready.text().await.unwrap();
    assert!(reasons.lines().any(|line| line.starts_with("object-storage: ")), "{reasons}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_requests_fail_cleanly_and_afterwards_all_is_well() {
    let mut store = ObjectStorage::start().unwrap();
    let service = Service::start_with(&store, &[]).await;
    let ada = service.user();
    let path = format!("/media/{}", ada.stored("x.txt", b"content").await.id);
    let content = format!("{path}/content");

    store.stop().unwrap();
    for answer in [ada.upload("y.txt", b"more").await, ada.get(&content).await] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem(answer).await.code, "unavailable");
    }
    assert_eq!(ada.get(&path).await.status(), StatusCode::OK, "metadata needs no store");
    assert_eq!(service.count("ready").await, 1);

    store.restart().unwrap();
    assert_eq!(ada.get(&content).await.text().await.unwrap(), "content");
    ada.stored("y.txt", b"more").await;
    let ready = || service.http.get(format!("{}/readyz", service.admin_url)).send();
    until("the service is ready", async || ready().await.unwrap().status() == StatusCode::OK).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_interrupted_by_an_outage_is_finished_by_asking_again() {
    let mut store = ObjectStorage::start().unwrap();
    let service = Service::start_with(&store, &[]).await;
    let ada = service.user();
    let path = format!("/media/{}", ada.stored("x.txt", b"content").await.id);

    store.stop().unwrap();
    let answer = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ada.get(&path).await.status(), StatusCode::NOT_FOUND, "for readers it is gone already");

    store.restart().unwrap();
    let answer = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(service.objects().await, Vec::<String>::new());
    assert_eq!(service.records().count_documents(mongodb::bson::doc! {}).await.unwrap(), 0);
    service.stop().await;
}
