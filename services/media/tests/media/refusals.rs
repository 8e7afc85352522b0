//! What is not taken.

use futures::stream;
use reqwest::{Body, Method, StatusCode};
use servers::ObjectStorage;

use crate::{
    form,
    service::{Service, noise, problem, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_type_outside_the_list_is_refused_by_what_its_bytes_say() {
    let service = Service::start().await;
    let ada = service.user();
    for (content, seen) in [
        (&b"<!doctype html><script>alert(1)</script>"[..], "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", "image/svg+xml"),
        (b"MZ\x90\0\x03\0\0\0\x04", "application/vnd.microsoft.portable-executable"),
        (b"#!/bin/sh\necho hi", "text/x-shellscript"),
    ] {
        let answer = ada.upload("innocent.png", content).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{seen}");
        let problem = problem(answer).await;
        assert_eq!(problem.code, "unsupported-media-type");
        assert!(problem.detail.unwrap().contains(seen), "{seen} is not named");
        assert_eq!(problem.errors[0].field, "file");
    }
    assert_eq!(service.objects().await, Vec::<String>::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_signature_tells_is_taken_or_refused_as_the_settings_say() {
    let service = Service::start_with(ObjectStorage::shared(), &[("UPLOAD__UNRECOGNISED", "refuse")]).await;
    let ada = service.user();
    let answer = ada.upload("x.png", &noise(9, 100)).await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(problem(answer).await.detail.unwrap().contains("application/octet-stream"));
    ada.stored("x.txt", b"text is still taken").await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_refused_whether_its_length_was_told_or_not() {
    let limit = 9 << 20;
    let service = Service::start_with(ObjectStorage::shared(), &[("UPLOAD__MAX_BYTES", &limit.to_string())]).await;
    let ada = service.user();
    ada.stored("fits.bin", &noise(10, limit)).await;

    let told = ada.upload("told.bin", &noise(11, limit + 100_000)).await;
    let little = ada.upload("little.bin", &noise(12, limit + 1)).await;
    let piece = noise(13, 64 << 10);
    let pieces = (0..).map(move |number| {
        Ok::<_, std::io::Error>(if number == 0 { form::head("file", "endless.bin").into() } else { piece.clone() })
    });
    let untold = ada
        .request(Method::POST, "/media")
        .header("content-type", form::CONTENT_TYPE)
        .body(Body::wrap_stream(stream::iter(pieces.take(400))))
        .send()
        .await
        .unwrap();

    for answer in [told, little, untold] {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let problem = problem(answer).await;
        assert_eq!(problem.code, "payload-too-large");
        assert!(problem.detail.unwrap().contains(&limit.to_string()));
    }
    until("nothing is pending", async || service.count("pending").await == 0).await;
    assert_eq!((service.objects().await.len(), service.multipart_uploads().await), (1, 0));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_form_with_a_file_is_told_so() {
    let service = Service::start().await;
    let ada = service.user();
    let post = |content_type: &'static str, body: Vec<u8>| {
        ada.request(Method::POST, "/media").header("content-type", content_type).body(body).send()
    };
    let answer = post("application/json", b"{}".to_vec()).await.unwrap();
    assert_eq!(
        (answer.status(), problem(answer).await.code),
        (StatusCode::BAD_REQUEST, "malformed-request".to_owned())
    );

    let other_field = [form::head("picture", "x.txt").as_bytes(), b"text", form::TAIL.as_bytes()].concat();
    for form in [other_field, form::of_file("empty.txt", b"")] {
        let answer = post(form::CONTENT_TYPE, form).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let problem = problem(answer).await;
        assert_eq!((problem.code.as_str(), problem.errors[0].field.as_str()), ("validation-failed", "file"));
    }

    let cut = form::of_file("x.txt", b"text")[..100].to_vec();
    let answer = post(form::CONTENT_TYPE, cut).await.unwrap();
    assert_eq!(
        (answer.status(), problem(answer).await.code),
        (StatusCode::BAD_REQUEST, "malformed-request".to_owned())
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_at_once_gets_to_read_why_though_the_body_is_long() {
    let limit = 1 << 20;
    let service = Service::start_with(ObjectStorage::shared(), &[("UPLOAD__MAX_BYTES", &limit.to_string())]).await;
    let ada = service.user();
    let url = format!("{}/api/v1/media", service.url);
    for _ in 0..10 {
        let body = noise(14, 16 << 20);
        let form = service.http.post(&url).header("content-type", form::CONTENT_TYPE);
        let too_long = form.bearer_auth(ada.token()).body(body.clone()).send().await.unwrap();
        assert_eq!(too_long.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let short = body[..limit / 2].to_vec();
        let not_a_form = ada.request(Method::POST, "/media").body(short).send().await.unwrap();
        assert_eq!(not_a_form.status(), StatusCode::BAD_REQUEST);
        let nobody =
            service.http.post(&url).header("content-type", form::CONTENT_TYPE).body(body).send().await.unwrap();
        assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    }
    service.stop().await;
}
