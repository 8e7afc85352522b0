//! Giving files back.

use reqwest::{Method, Response, StatusCode};

use crate::service::{Service, User, noise, problem};

async fn read(user: &User<'_>, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = user.request(Method::GET, path);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_are_served_by_range() {
    let service = Service::start().await;
    let ada = service.user();
    // Longer than one part of the upload, so that a range can cross the seam.
    let content = noise(7, (8 << 20) + 5_000);
    let size = content.len();
    let path = format!("/media/{}/content", ada.stored("x.bin", &content).await.id);
    let seam = 8 << 20;
    let cases = [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=100-199".to_owned(), 100..200),
        (format!("bytes={}-{}", seam - 10, seam + 9), seam - 10..seam + 10),
        ("bytes=-500".to_owned(), size - 500..size),
        (format!("bytes={}-", size - 1), size - 1..size),
        (format!("bytes={}-99999999999", size - 7), size - 7..size),
        ("bytes=0-9,10-19".to_owned(), 0..20),
    ];
    for (range, bytes) in cases {
        let answer = read(&ada, &path, &[("range", &range)]).await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let told = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
        assert_eq!(answer.headers()["content-range"], told.as_str(), "{range}");
        assert!(answer.bytes().await.unwrap() == content[bytes], "{range} brought other bytes");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_beyond_the_end_is_told_the_size() {
    let service = Service::start().await;
    let ada = service.user();
    let path = format!("/media/{}/content", ada.stored("x.txt", b"ten bytes!").await.id);
    let answer = read(&ada, &path, &[("range", "bytes=10-")]).await;
    assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(answer.headers()["content-range"], "bytes */10");
    assert_eq!(problem(answer).await.code, "range-not-satisfiable");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_may_be_ignored_bring_the_whole() {
    let service = Service::start().await;
    let ada = service.user();
    let path = format!("/media/{}/content", ada.stored("x.txt", b"ten bytes!").await.id);
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=5-2"] {
        let answer = read(&ada, &path, &[("range", range)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{range}");
        assert_eq!(answer.bytes().await.unwrap().as_ref(), b"ten bytes!");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_content_already_is_not_sent_it_again() {
    let service = Service::start().await;
    let ada = service.user();
    let path = format!("/media/{}/content", ada.stored("x.txt", b"ten bytes!").await.id);
    let tag = read(&ada, &path, &[]).await.headers()["etag"].to_str().unwrap().to_owned();

    let unchanged = read(&ada, &path, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.headers()["etag"], tag.as_str());
    assert!(unchanged.bytes().await.unwrap().is_empty());
    assert_eq!(read(&ada, &path, &[("if-none-match", "\"other\"")]).await.status(), StatusCode::OK);

    let resumed = read(&ada, &path, &[("if-range", &tag), ("range", "bytes=4-")]).await;
    assert_eq!((resumed.status(), resumed.text().await.unwrap().as_str()), (StatusCode::PARTIAL_CONTENT, "bytes!"));
    let changed = read(&ada, &path, &[("if-range", "\"other\""), ("range", "bytes=4-")]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_browser_runs_what_a_file_holds() {
    let service = Service::start().await;
    let ada = service.user();
    let text = ada.stored("Łódź \"1\".txt", "zażółć".as_bytes()).await;
    let answer = ada.get(&format!("/media/{}/content", text.id)).await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("cache-control"), "private, no-cache");
    let disposition = header("content-disposition");
    assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
    assert!(disposition.contains("filename*=UTF-8''%C5%81%C3%B3d%C5%BA"), "{disposition}");

    let picture = ada.stored("p.gif", b"GIF89a\x01\0\x01\0").await;
    let answer = ada.get(&format!("/media/{}/content", picture.id)).await;
    assert_eq!(answer.headers()["content-disposition"], "inline; filename=\"p.gif\"");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_answers_as_get_does_without_the_bytes() {
    let service = Service::start().await;
    let ada = service.user();
    let path = format!("/media/{}/content", ada.stored("x.txt", b"ten bytes!").await.id);
    let answer = ada.request(Method::HEAD, &path).header("range", "bytes=0-3").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-length"], "10");
    assert_eq!(answer.headers()["accept-ranges"], "bytes");
    service.stop().await;
}
