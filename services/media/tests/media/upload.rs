//! Taking files in.

use std::time::Duration;

use contract::media::Media;
use futures::stream;
use reqwest::{Body, Method, StatusCode};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    form,
    service::{Service, noise, until},
};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_20_mib_comes_back_byte_for_byte() {
    let service = Service::start().await;
    let ada = service.user();
    let content = noise(1, 20 * MIB + 12_345);

    let stored = ada.stored("backup.bin", &content).await;

    assert_eq!(stored.owner_id, ada.id);
    assert_eq!(stored.filename, "backup.bin");
    assert_eq!(stored.content_type, "application/octet-stream");
    assert_eq!(stored.size, content.len() as u64);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&content)));
    let read = ada.get(&format!("/media/{}/content", stored.id)).await;
    assert_eq!(read.status(), StatusCode::OK);
    assert_eq!(read.headers()["content-length"], content.len().to_string().as_str());
    assert!(read.bytes().await.unwrap() == content, "the bytes differ");
    let metadata: Media = ada.get(&format!("/media/{}", stored.id)).await.json().await.unwrap();
    assert_eq!(metadata, stored);
    assert_eq!(service.multipart_uploads().await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_around_the_size_of_a_part_come_back_byte_for_byte() {
    let service = Service::start().await;
    let ada = service.user();
    for length in [1, 4095, 4096, 4097, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB] {
        let content = noise(length as u64, length);
        let stored = ada.stored("x.bin", &content).await;
        let read = ada.get(&format!("/media/{}/content", stored.id)).await.bytes().await.unwrap();
        assert!(read == content, "{length} bytes differ");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_says_where_the_file_is_and_what_its_bytes_are() {
    let service = Service::start().await;
    let ada = service.user();
    let answer = ada.upload("../holiday\u{202e}.exe", b"\x89PNG\r\n\x1a\n and more").await;
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let stored: Media = answer.json().await.unwrap();
    assert_eq!(location, format!("/api/v1/media/{}", stored.id));
    assert_eq!((stored.filename.as_str(), stored.content_type.as_str()), ("holiday.exe", "image/png"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_object_tells_nothing_of_the_file() {
    let service = Service::start().await;
    let ada = service.user();
    let first = ada.stored("plan.txt", b"the same").await;
    ada.stored("plan.txt", b"the same").await;
    let keys = service.objects().await;
    assert_eq!(keys.len(), 2);
    for key in &keys {
        let random: String = key.chars().filter(char::is_ascii_hexdigit).collect();
        assert!(random.len() >= 64, "{key}");
        for told in ["plan", &first.id.to_string(), &first.sha256, &ada.id.to_string()] {
            assert!(!key.contains(told), "{key} holds {told}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_found_behind_other_fields_of_the_form() {
    let service = Service::start().await;
    let ada = service.user();
    let note = "------form-4711\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n";
    let body = [note.as_bytes(), &form::of_file("a.txt", b"content")].concat();
    let answer =
        ada.request(Method::POST, "/media").header("content-type", form::CONTENT_TYPE).body(body).send().await.unwrap();
    let stored: Media = answer.json().await.unwrap();
    assert_eq!((stored.filename.as_str(), stored.size), ("a.txt", 7));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_unknown_length_is_taken() {
    let service = Service::start().await;
    let ada = service.user();
    let content = noise(3, 9 * MIB);
    let mut pieces: Vec<Result<Vec<u8>, std::io::Error>> = vec![Ok(form::head("file", "x.bin").into())];
    pieces.extend(content.chunks(70_000).map(|piece| Ok(piece.to_vec())));
    pieces.push(Ok(form::TAIL.into()));
    let answer = ada
        .request(Method::POST, "/media")
        .header("content-type", form::CONTENT_TYPE)
        .body(Body::wrap_stream(stream::iter(pieces)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stored: Media = answer.json().await.unwrap();
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&content)));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_broken_off_midway_leaves_nothing_behind() {
    let service = Service::start().await;
    let ada = service.user();
    let mut client = TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    let (head, content) = (form::head("file", "big.bin"), noise(5, 20 * MIB));
    let request = format!(
        "POST /api/v1/media HTTP/1.1\r\nHost: media\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n{head}",
        ada.token(),
        form::CONTENT_TYPE,
        head.len() + 2 * content.len(),
    );
    client.write_all(request.as_bytes()).await.unwrap();
    client.write_all(&content).await.unwrap();
    until("a multipart upload is under way", async || service.multipart_uploads().await == 1).await;
    assert_eq!(service.count("pending").await, 1);

    drop(client);

    until("its record is gone", async || service.count("pending").await == 0).await;
    assert_eq!(service.records().count_documents(mongodb::bson::doc! {}).await.unwrap(), 0);
    assert_eq!(service.multipart_uploads().await, 0);
    assert_eq!(service.objects().await, Vec::<String>::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stops_arriving_is_given_up() {
    let store = servers::ObjectStorage::shared();
    let service = Service::start_with(store, &[("UPLOAD__STALL_SECONDS", "1")]).await;
    let ada = service.user();
    let beginning = [form::head("file", "x.bin").into_bytes(), noise(6, 10_000)].concat();
    let beginning = stream::iter([Ok::<_, std::io::Error>(beginning)]);
    let then_nothing = futures::StreamExt::chain(beginning, stream::pending());
    let answer = ada
        .request(Method::POST, "/media")
        .header("content-type", form::CONTENT_TYPE)
        .timeout(Duration::from_secs(20))
        .body(Body::wrap_stream(then_nothing))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    until("its record is gone", async || service.count("pending").await == 0).await;
    service.stop().await;
}
