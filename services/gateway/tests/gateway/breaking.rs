//! Connections that break in the middle of requests, services that go and come back: what clients see of it, and what services.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use futures::StreamExt;
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    cutter::{Cut, Cutter},
    names::{Pod, free_address, free_port},
    world::{SOON, With, World, answer, metric, problem, start_service, token, until},
};

const PATH: &str = "/api/v1/notifications";
const BREAKER: &str = r#"gateway_upstream_breaker{upstream="notification"}"#;

/// A breaker that stays out of the way.
const NO_BREAKER: [(&str, &str); 2] =
    [("CHATPLATFORM_BREAKER__CONSECUTIVE_FAILURES", "1000"), ("CHATPLATFORM_BREAKER__FAILURE_PERCENT", "100")];

async fn world_before(notification: SocketAddr, variables: &[(&str, &str)]) -> World {
    World::open_with(With { redis_url: None, notification: Some(notification), variables }).await
}

/// A service that counts whole requests, and answers with as many bytes as it is asked for by `?bytes=`.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    let router = Router::new().fallback(async move |request: Request| {
        let bytes = request.uri().query().and_then(|query| query.strip_prefix("bytes=")?.parse().ok()).unwrap_or(10);
        if axum::body::to_bytes(request.into_body(), usize::MAX).await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
        "x".repeat(bytes)
    });
    (start_service(router).await, arrived)
}

#[tokio::test]
async fn wherever_a_connection_is_cut_reading_is_answered_by_another_one() {
    let (service, _) = counting().await;
    let cutter = Cutter::before(service).await;
    let world = world_before(cutter.address, &NO_BREAKER).await;
    for cut in [
        Cut::AtOnce,
        Cut::Request(0),
        Cut::Request(1),
        Cut::Request(60),
        Cut::Answer(0),
        Cut::Answer(1),
        Cut::Answer(16),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            // No connection is left over from the one before.
            let fresh = World::open_with(With {
                redis_url: Some(world.redis_url.clone()),
                notification: Some(cutter.address),
                variables: &NO_BREAKER,
            })
            .await;
            cutter.plan(cut, 2);
            let request = fresh.http.request(method.clone(), fresh.url(PATH)).bearer_auth(token().text).body("letter");
            let (status, _, body) = timeout(SOON, answer(request)).await.unwrap();
            assert_eq!((status, body.as_str()), (StatusCode::OK, Some("xxxxxxxxxx")), "{method} cut at {cut:?}");
        }
    }
}

#[tokio::test]
async fn writing_that_may_have_arrived_is_answered_by_a_problem_and_arrives_once_at_most() {
    let (service, arrived) = counting().await;
    let cutter = Cutter::before(service).await;
    for cut in [Cut::Request(0), Cut::Request(1), Cut::Request(60), Cut::Answer(0), Cut::Answer(1), Cut::Answer(16)] {
        let world = world_before(cutter.address, &NO_BREAKER).await;
        let (arrived_before, connections_before) = (arrived.load(Ordering::SeqCst), cutter.connections());
        cutter.plan(cut, 10);
        let post = || world.post("/api/v1/notifications/read-all").bearer_auth(token().text).body("letter");
        assert_eq!(timeout(SOON, problem(post())).await.unwrap(), (502, "bad-gateway".into()), "cut at {cut:?}");
        assert!(arrived.load(Ordering::SeqCst) - arrived_before <= 1, "cut at {cut:?}");
        assert_eq!(cutter.connections() - connections_before, 1, "cut at {cut:?}");
        // The next one is not concerned.
        cutter.plan(Cut::Nowhere, 0);
        assert_eq!(timeout(SOON, answer(post())).await.unwrap().0, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_in_its_body_ends_with_an_error_and_one_that_stalls_does_so_too() {
    let (service, _) = counting().await;
    let cutter = Cutter::before(service).await;
    let variables = [&NO_BREAKER[..], &[("CHATPLATFORM_LIMITS__STALL_SECONDS", "1")]].concat();
    for cut in [Cut::Answer(50_000), Cut::Silence(50_000)] {
        let world = world_before(cutter.address, &variables).await;
        cutter.plan(cut, 1);
        let request = world.get(&format!("{PATH}?bytes=1000000")).bearer_auth(token().text);
        let response = timeout(SOON, request.send()).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut chunks = response.bytes_stream();
        let mut outcome = Ok(0);
        while let Some(chunk) = timeout(SOON, chunks.next()).await.unwrap() {
            outcome = match (outcome, chunk) {
                (Ok(length), Ok(chunk)) => Ok(length + chunk.len()),
                (_, Err(error)) => Err(error),
                (error, _) => error,
            };
        }
        assert!(outcome.is_err(), "cut at {cut:?}: {outcome:?}");
        let again = world.get(&format!("{PATH}?bytes=1000000")).bearer_auth(token().text);
        assert_eq!(timeout(SOON, answer(again)).await.unwrap().2.as_str().map(str::len), Some(1_000_000));
    }
}

#[tokio::test]
async fn clients_that_break_off_anywhere_harm_nobody() {
    let (service, _) = counting().await;
    let world = world_before(service, &[]).await;
    let token = token();
    let whole = format!(
        "POST {PATH}/read-all HTTP/1.1\r\nhost: chat.example\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{}",
        token.text,
        "x".repeat(100)
    );
    for length in (1..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(&whole.as_bytes()[..length]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // It may say what is wrong; it must not wait for more.
        let closed = timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the connection is left open after {length} bytes");
        let answer = String::from_utf8_lossy(&rest);
        assert!(!answer.contains("200 OK") && !answer.contains(" 500 "), "{length}: {answer}");
    }
    until("nothing is in flight", async || metric(&world, "http_requests_in_flight").await == Some(0)).await;
    assert_eq!(metric(&world, BREAKER).await, Some(0), "the service was blamed for its clients");
    assert_eq!(answer(world.get(PATH).bearer_auth(&token.text)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_does_not_send_on_is_told_so_and_nobody_else_is_blamed() {
    let (service, _) = counting().await;
    let variables =
        [("CHATPLATFORM_LIMITS__DEADLINE_SECONDS", "1"), ("CHATPLATFORM_BREAKER__CONSECUTIVE_FAILURES", "1")];
    let world = world_before(service, &variables).await;
    for method in [Method::POST, Method::PUT] {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("the beginning of a letter") });
        let body = reqwest::Body::wrap_stream(first.chain(futures::stream::pending()));
        let request = world.http.request(method.clone(), world.url("/api/v1/notification-preferences"));
        let request = request.bearer_auth(token().text).header("content-length", "100").body(body);
        assert_eq!(timeout(SOON, problem(request)).await.unwrap(), (408, "request-timeout".into()), "{method}");
    }
    assert_eq!(metric(&world, BREAKER).await, Some(0));
}

#[tokio::test]
async fn no_more_is_sent_again_than_the_budget_allows() {
    // Hangs up on some paths, and answers on others.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            if !String::from_utf8_lossy(&head[..length]).contains("/hang-up") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
            }
        }
    });
    let budget = [("CHATPLATFORM_RETRIES__PERCENT", "10"), ("CHATPLATFORM_RETRIES__PER_SECOND", "1")];
    let world = world_before(service, &[&NO_BREAKER[..], &budget].concat()).await;
    let began = Instant::now();
    for _ in 0..100 {
        let hung_up = world.get(&format!("{PATH}/hang-up")).bearer_auth(token().text);
        assert_eq!(problem(hung_up).await, (502, "bad-gateway".into()));
        assert_eq!(answer(world.get(PATH).bearer_auth(token().text)).await.0, StatusCode::OK);
    }
    let retries =
        metric(&world, r#"gateway_upstream_retries_total{upstream="notification",reason="broken-off"}"#).await;
    // A tenth of all, and one a second, ten of which may have been saved up.
    let most = 200 / 10 + 10 + began.elapsed().as_secs() + 1;
    assert!(retries.is_some_and(|retries| retries > 10 && retries <= most), "{retries:?} of {most}");
    let refused =
        metric(&world, r#"gateway_upstream_retries_total{upstream="notification",reason="over-budget"}"#).await;
    assert!(refused.is_some_and(|refused| refused > 50), "{refused:?}");
}

#[tokio::test]
async fn a_service_that_is_down_is_left_alone_and_found_again_as_soon_as_it_is_there() {
    let (address, port) = (free_address(), free_port());
    let variables = [
        ("CHATPLATFORM_BREAKER__OPEN_MILLISECONDS", "600000"),
        ("CHATPLATFORM_BREAKER__LONGEST_OPEN_MILLISECONDS", "600000"),
    ];
    let world = world_before((address, port).into(), &variables).await;
    let get = || world.get(PATH).bearer_auth(token().text);
    assert_eq!(metric(&world, BREAKER).await, Some(0));
    for _ in 0..5 {
        assert_eq!(problem(get()).await, (503, "unavailable".into()));
    }
    assert_eq!(metric(&world, BREAKER).await, Some(2));
    // Now it costs nobody any time, and clients are told how long to wait.
    let began = Instant::now();
    for _ in 0..20 {
        let (status, headers, body) = answer(get()).await;
        assert_eq!((status, body["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")));
        let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=600).contains(&wait), "{wait}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let opened = metric(&world, r#"gateway_upstream_breaker_openings_total{upstream="notification"}"#).await;
    assert_eq!(opened, Some(1));
    // Others are not concerned.
    assert_eq!(answer(world.get("/api/v1/users/me").bearer_auth(token().text)).await.0, StatusCode::OK);
    // Its address is probed; nobody waits for the ten minutes.
    let _pod = Pod::start(address, port, 0, Router::new().fallback(async || "here")).await;
    until("it is found", async || answer(get()).await.0 == StatusCode::OK).await;
    assert_eq!(metric(&world, BREAKER).await, Some(0));
}

#[tokio::test]
async fn a_service_that_hangs_is_tried_by_one_request_now_and_then_until_it_answers() {
    let hangs = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    let (hanging, count) = (Arc::clone(&hangs), Arc::clone(&asked));
    let router = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        if hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    });
    let variables = [
        ("CHATPLATFORM_LIMITS__DEADLINE_SECONDS", "1"),
        ("CHATPLATFORM_BREAKER__CONSECUTIVE_FAILURES", "3"),
        ("CHATPLATFORM_BREAKER__OPEN_MILLISECONDS", "500"),
        ("CHATPLATFORM_BREAKER__LONGEST_OPEN_MILLISECONDS", "500"),
    ];
    let world = world_before(start_service(router).await, &variables).await;
    let get = || world.get(PATH).bearer_auth(token().text);
    let first = futures::future::join_all((0..3).map(|_| problem(get()))).await;
    assert!(first.iter().all(|(status, _)| *status == 504), "{first:?}");
    assert_eq!(metric(&world, BREAKER).await, Some(2));
    // One trial, and the others are answered meanwhile.
    until("a trial goes out", async || {
        let trial = tokio::spawn(problem(get()));
        until("it is refused or asked", async || trial.is_finished() || asked.load(Ordering::SeqCst) == 4).await;
        asked.load(Ordering::SeqCst) == 4
    })
    .await;
    assert_eq!(problem(get()).await.0, 503);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    hangs.store(false, Ordering::SeqCst);
    until("it is well", async || answer(get()).await.0 == StatusCode::OK).await;
    assert_eq!(metric(&world, BREAKER).await, Some(0));
}
