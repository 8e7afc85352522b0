//! Uploads that are sent again under their `Idempotency-Key`.

use contract::media::Media;
use futures::future::join_all;
use mongodb::bson::{DateTime, doc};
use reqwest::{Method, StatusCode};

use crate::service::{Service, noise, problem};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_sent_again_under_its_key_is_the_file_of_then() {
    let service = Service::start().await;
    let (ada, bob) = (service.user(), service.user());
    // Of more than one part.
    let content = noise(1, 9 << 20);
    let first = ada.upload_under("k", "x.bin", &content).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let first: Media = first.json().await.unwrap();

    let again = ada.upload_under("\"k\"", "x.bin", &content).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.headers()["location"], format!("/api/v1/media/{}", first.id));
    assert_eq!(again.json::<Media>().await.unwrap(), first);

    for (filename, content) in [("x.bin", noise(2, 9 << 20)), ("y.bin", content.clone()), ("x.bin", b"short".to_vec())]
    {
        let answer = ada.upload_under("k", filename, &content).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem(answer).await.code, "idempotency-key-reused");
    }
    let bobs: Media = bob.upload_under("k", "x.bin", b"bob's").await.json().await.unwrap();
    assert_ne!(bobs.id, first.id);
    assert_eq!((service.objects().await.len(), service.count("ready").await), (2, 2));

    let refused = ada.upload_under("two words", "x.bin", b"x").await;
    assert_eq!(
        (refused.status(), problem(refused).await.errors[0].field.as_str()),
        (StatusCode::BAD_REQUEST, "Idempotency-Key")
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_uploads_under_one_key_at_once_one_is_stored() {
    let service = Service::start().await;
    let ada = service.user();
    let content = noise(3, 1 << 20);
    let answers = join_all((0..6).map(|_| ada.upload_under("k", "x.bin", &content))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert!([&[201][..], &[201, 409]].contains(&statuses.as_slice()), "{statuses:?}");
    assert_eq!((service.objects().await.len(), service.count("ready").await), (1, 1));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_after_a_refusal_a_deletion_a_day_and_the_death_of_its_upload() {
    let service = Service::start().await;
    let ada = service.user();
    assert_eq!(ada.upload_under("k", "x.html", b"<html></html>").await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let first: Media = ada.upload_under("k", "x.txt", b"one").await.json().await.unwrap();
    let path = format!("/media/{}", first.id);
    assert_eq!(ada.request(Method::DELETE, &path).send().await.unwrap().status(), StatusCode::NO_CONTENT);

    let second: Media = ada.upload_under("k", "x.txt", b"two").await.json().await.unwrap();
    let since = |hours: i64| DateTime::from_millis(DateTime::now().timestamp_millis() - hours * 3_600_000);
    let aged = |state: &str, hours| doc! {"$set": {"state": state, "createdAt": since(hours)}};
    let this_one = doc! {"_id": second.id.to_string()};
    service.records().update_one(this_one.clone(), aged("ready", 24)).await.unwrap();
    let third: Media = ada.upload_under("k", "x.txt", b"three").await.json().await.unwrap();
    assert_ne!(third.id, second.id);

    // As if the process had died in the midst of it.
    let this_one = doc! {"_id": third.id.to_string()};
    service.records().update_one(this_one.clone(), aged("pending", 0)).await.unwrap();
    let meanwhile = ada.upload_under("k", "x.txt", b"three").await;
    assert_eq!(meanwhile.status(), StatusCode::CONFLICT);
    assert_eq!(problem(meanwhile).await.code, "idempotency-key-in-use");
    service.records().update_one(this_one, aged("pending", 1)).await.unwrap();
    let fourth: Media = ada.upload_under("k", "x.txt", b"three").await.json().await.unwrap();
    assert_ne!(fourth.id, third.id);
    service.stop().await;
}
