//! Whom the gateway refuses, and how it says so.

use std::time::Duration;

use http::StatusCode;
use redis::AsyncCommands;

use crate::world::{With, World, answer, problem, token, token_with};

#[tokio::test]
async fn who_is_not_logged_in_gets_no_further() {
    let world = World::open().await;
    assert_eq!(problem(world.get("/api/v1/users/me")).await, (401, "unauthenticated".into()));
    assert_eq!(problem(world.get("/api/v1/users/me").bearer_auth("nonsense")).await, (401, "invalid-token".into()));
    let expired = token_with(&["user"], -60);
    assert_eq!(problem(world.get("/api/v1/users/me").bearer_auth(&expired.text)).await, (401, "token-expired".into()));
    // Who wants to leave may do so nevertheless.
    let (status, _, _) = answer(world.post("/api/v1/auth/logout").bearer_auth(&expired.text)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_once() {
    let world = World::open().await;
    let (token, other) = (token(), token());
    let (status, _, _) = answer(world.get("/api/v1/users/me").bearer_auth(&token.text)).await;
    assert_eq!(status, StatusCode::OK);
    let _: () = world.redis().await.set_ex(format!("auth:revoked:{}", token.session), 1, 600).await.unwrap();
    for path in ["/api/v1/users/me", "/api/v1/conversations", "/api/v1/notifications"] {
        assert_eq!(problem(world.get(path).bearer_auth(&token.text)).await, (401, "session-revoked".into()));
    }
    assert_eq!(problem(world.post("/api/v1/auth/logout").bearer_auth(&token.text)).await.0, 401);
    let (status, _, _) = answer(world.get("/api/v1/users/me").bearer_auth(&other.text)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn the_admin_interface_is_for_staff() {
    let world = World::open().await;
    assert_eq!(problem(world.get("/api/v1/admin/users")).await.0, 401);
    assert_eq!(problem(world.get("/api/v1/admin/users").bearer_auth(token().text)).await, (403, "forbidden".into()));
    let admin = token_with(&["user", "admin"], 600);
    assert_eq!(answer(world.get("/api/v1/admin/users").bearer_auth(admin.text)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let variables =
        [("CHATPLATFORM_RATE_LIMITS__READ__PER_MINUTE", "30"), ("CHATPLATFORM_RATE_LIMITS__READ__BURST", "3")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let (token, other) = (token(), token());
    let get = || world.get("/api/v1/users/me").bearer_auth(&token.text);
    for left in ["2", "1", "0"] {
        let (status, headers, _) = answer(get()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["ratelimit-policy"], "\"read\";q=30;w=60");
        assert!(headers["ratelimit"].to_str().unwrap().starts_with(&format!("\"read\";r={left};t=")));
    }
    let (status, headers, body) = answer(get()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["code"], "rate-limited");
    let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // Another user behind the same address, and another class of the same user, are not concerned.
    assert_eq!(answer(world.get("/api/v1/users/me").bearer_auth(&other.text)).await.0, StatusCode::OK);
    assert_eq!(answer(world.post("/api/v1/conversations").bearer_auth(&token.text)).await.0, StatusCode::OK);
    // Whoever waits as told gets through.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(answer(get()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn guesses_at_passwords_count_by_address_behind_trusted_proxies() {
    let variables = [("CHATPLATFORM_RATE_LIMITS__AUTH__BURST", "2")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let guess = |from: &'static str| answer(world.post("/api/v1/auth/login").header("x-forwarded-for", from));
    assert_eq!(guess("203.0.113.1").await.0, StatusCode::OK);
    assert_eq!(guess("198.51.100.7, 203.0.113.1").await.0, StatusCode::OK);
    assert_eq!(guess("203.0.113.1").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(guess("203.0.113.2").await.0, StatusCode::OK);
}

#[tokio::test]
async fn two_gateways_count_together() {
    let variables =
        [("CHATPLATFORM_RATE_LIMITS__READ__BURST", "4"), ("CHATPLATFORM_RATE_LIMITS__READ__PER_MINUTE", "1")];
    let first = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let redis_url = Some(first.redis_url.clone());
    let second = World::open_with(With { redis_url, notification: None, variables: &variables }).await;
    let token = token();
    let mut passed = 0;
    for _ in 0..4 {
        for world in [&first, &second] {
            passed +=
                u32::from(answer(world.get("/api/v1/users/me").bearer_auth(&token.text)).await.0 == StatusCode::OK);
        }
    }
    assert_eq!(passed, 4);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_passed_on() {
    let variables = [("CHATPLATFORM_LIMITS__BODY_BYTES", "1000"), ("CHATPLATFORM_LIMITS__HEADER_BYTES", "4000")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let post = || world.post("/api/v1/conversations").bearer_auth(token().text);
    assert_eq!(answer(post().body("x".repeat(1000))).await.0, StatusCode::OK);
    assert_eq!(problem(post().body("x".repeat(1001))).await, (413, "payload-too-large".into()));
    // Without a length it is noticed on the way.
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(100)));
    let unsized_body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    assert_eq!(problem(post().body(unsized_body)).await, (413, "payload-too-large".into()));
    assert_eq!(problem(post().header("x-long", "y".repeat(5000))).await, (431, "headers-too-large".into()));
    let long = format!("/api/v1/users?query={}", "z".repeat(9000));
    assert_eq!(problem(world.get(&long)).await, (414, "uri-too-long".into()));
    // A file may be larger.
    let file = world.post("/api/v1/media").bearer_auth(token().text).body("x".repeat(100_000));
    assert_eq!(answer(file).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_leads_nowhere_is_a_problem() {
    let world = World::open().await;
    for path in ["/", "/api/v1/nothing", "/api/v2/users/me", "/metrics", "/readyz"] {
        assert_eq!(problem(world.get(path)).await, (404, "not-found".into()), "{path}");
    }
    let (status, headers, body) = answer(world.http.put(world.url("/api/v1/auth/login"))).await;
    // The path is below /api/v1/auth, where PUT is for who is logged in.
    assert_eq!((status, body["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("unauthenticated")));
    assert!(headers.contains_key("ratelimit"));
    let (status, headers, body) = answer(world.http.delete(world.url("/socket.io/"))).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::METHOD_NOT_ALLOWED, Some("method-not-allowed")));
    assert_eq!(headers["allow"], "GET, POST");
}
