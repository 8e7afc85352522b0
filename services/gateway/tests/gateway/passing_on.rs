//! What the gateway passes on, both ways.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{LARGE, SOON, With, World, answer, start_service, token};

#[tokio::test]
async fn claims_of_identity_are_stripped_and_the_token_is_passed_on() {
    let world = World::open().await;
    let token = token();
    let (status, headers, seen) = answer(
        world
            .get("/api/v1/users/me?fields=all")
            .bearer_auth(&token.text)
            .header("x-user-id", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
            .header("x-user-roles", "admin")
            .header("x-forwarded-user", "root")
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-real-ip", "198.51.100.1")
            .header("te", "trailers")
            .header("x-harmless", "kept"),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(seen["target"], "/api/v1/users/me?fields=all");
    let seen = seen["headers"].as_object().unwrap();
    assert_eq!(seen["authorization"], format!("Bearer {}", token.text));
    assert_eq!(seen["x-harmless"], "kept");
    // The test's own address is that of a trusted proxy, so that its word on where the request comes from counts.
    assert_eq!(seen["x-forwarded-for"], "203.0.113.9");
    assert_eq!(seen["x-forwarded-host"], world.address.to_string());
    for gone in ["x-user-id", "x-user-roles", "x-forwarded-user", "x-real-ip", "te", "connection"] {
        assert!(!seen.contains_key(gone), "{gone} got through");
    }
    assert_eq!(headers["x-content-type-options"], "nosniff");
    for gone in ["server", "x-hop"] {
        assert!(!headers.contains_key(gone), "{gone} came back");
    }
}

#[tokio::test]
async fn a_trace_goes_through_to_the_service() {
    let world = World::open().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (_, _, seen) = answer(world.get("/.well-known/jwks.json").header("traceparent", parent)).await;
    let passed_on = seen["headers"]["traceparent"].as_str().unwrap();
    assert!(passed_on.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{passed_on}");
    assert_ne!(passed_on, parent);
    let (_, _, seen) = answer(world.get("/.well-known/jwks.json")).await;
    assert!(seen["headers"]["traceparent"].is_string());
}

#[tokio::test]
async fn large_bodies_stream_through_both_ways() {
    let world = World::open().await;
    let chunks = (0..LARGE / 65536).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'y'; 65536])));
    let upload = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let (status, _, seen) = answer(world.post("/api/v1/media").bearer_auth(token().text).body(upload)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(seen["bodyLength"], LARGE);

    let response = world.get("/api/v1/media/01/large").bearer_auth(token().text).send().await.unwrap();
    let mut length = 0;
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.iter().all(|byte| *byte == b'x'));
        length += chunk.len();
    }
    assert_eq!(length, LARGE);
}

#[tokio::test]
async fn a_download_begins_before_it_has_ended_at_the_service() {
    let (more, rest) = tokio::sync::oneshot::channel::<()>();
    let rest = std::sync::Arc::new(std::sync::Mutex::new(Some(rest)));
    let service = axum::Router::new().fallback(async move || {
        let rest = rest.lock().unwrap().take().unwrap();
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("first") });
        let second = futures::stream::once(async { rest.await.map(|()| "second").map_err(std::io::Error::other) });
        axum::body::Body::from_stream(first.chain(second))
    });
    let service = start_service(service).await;
    let world = World::open_with(With { redis_url: None, notification: Some(service), variables: &[] }).await;
    let response = world.get("/api/v1/notifications").bearer_auth(token().text).send().await.unwrap();
    let mut chunks = response.bytes_stream();
    assert_eq!(timeout(SOON, chunks.next()).await.unwrap().unwrap().unwrap(), "first");
    more.send(()).unwrap();
    assert_eq!(timeout(SOON, chunks.next()).await.unwrap().unwrap().unwrap(), "second");
}

#[tokio::test]
async fn socket_io_goes_through_by_polling() {
    let world = World::open().await;
    let (status, _, seen) = answer(world.post("/socket.io/?EIO=4&transport=polling&sid=abc").body("40")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&seen["method"], &seen["bodyLength"]), (&Value::from("POST"), &Value::from(2)));
    assert_eq!(seen["target"], "/socket.io/?EIO=4&transport=polling&sid=abc");
}

#[tokio::test]
async fn a_websocket_carries_messages_both_ways_until_one_side_closes_it() {
    let world = World::open().await;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", world.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for number in 0..300 {
        socket.send(Message::text(format!("message {number}"))).await.unwrap();
    }
    for number in 0..300 {
        let message = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(message, Message::text(format!("message {number}")));
    }
    let large = Message::binary(vec![7; 1024 * 1024]);
    socket.send(large.clone()).await.unwrap();
    assert_eq!(timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap(), large);
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = timeout(SOON, socket.next()).await.unwrap() {}
}

#[tokio::test]
async fn an_upgrade_to_anything_but_a_websocket_is_an_ordinary_request() {
    let world = World::open().await;
    let (status, _, seen) =
        answer(world.get("/socket.io/").header("connection", "upgrade").header("upgrade", "h2c")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(seen["headers"].get("upgrade").is_none());
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call() {
    let variables = [("CHATPLATFORM_CORS__ALLOWED_ORIGINS", "https://app.example")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let preflight = world
        .http
        .request(http::Method::OPTIONS, world.url("/api/v1/conversations"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let (status, headers, _) = answer(preflight).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    let (status, headers, _) = answer(world.get("/api/v1/users/me").header("origin", "https://app.example")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
}
