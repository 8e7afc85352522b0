//! What clients see when something behind the gateway fails, and when the gateway itself stops.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use http::StatusCode;
use redis::AsyncCommands;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{SOON, Token, With, World, answer, problem, token, token_with, until};

/// A service that hangs up on the first `rude` requests and answers those after them.
async fn hangs_up(rude: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            if count.fetch_add(1, Ordering::SeqCst) >= rude {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
            }
        }
    });
    (address, requests)
}

async fn world_before(notification: SocketAddr) -> World {
    World::open_with(With { redis_url: None, notification: Some(notification), variables: &[] }).await
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    let variables = [("CHATPLATFORM_UPSTREAMS__MEDIA", "http://nobody")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let get = world.get("/api/v1/media/01").bearer_auth(token().text);
    assert_eq!(problem(get).await, (503, "unavailable".into()));
    assert_eq!(answer(world.get("/api/v1/users/me").bearer_auth(token().text)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_service_that_hangs_up_is_a_bad_gateway() {
    let (service, requests) = hangs_up(usize::MAX).await;
    let world = world_before(service).await;
    let get = world.get("/api/v1/notifications").bearer_auth(token().text);
    assert_eq!(problem(get).await, (502, "bad-gateway".into()));
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn reading_is_tried_again_and_writing_never() {
    let (service, requests) = hangs_up(1).await;
    let world = world_before(service).await;
    let (status, _, _) = answer(world.get("/api/v1/notifications").bearer_auth(token().text)).await;
    assert_eq!((status, requests.load(Ordering::SeqCst)), (StatusCode::OK, 2));

    let (service, requests) = hangs_up(1).await;
    let world = world_before(service).await;
    let post = world.post("/api/v1/notifications/read-all").bearer_auth(token().text);
    assert_eq!(problem(post).await, (502, "bad-gateway".into()));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_service_that_takes_too_long_is_given_up() {
    let variables = [("CHATPLATFORM_LIMITS__DEADLINE_SECONDS", "1")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let began = Instant::now();
    let get = world.get("/api/v1/users/never").bearer_auth(token().text);
    assert_eq!(problem(get).await, (504, "gateway-timeout".into()));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_error_in_plain_words_becomes_a_problem() {
    let world = World::open().await;
    let get = world.get("/api/v1/users/rude").bearer_auth(token().text);
    assert_eq!(problem(get).await, (418, "i-m-a-teapot".into()));
}

#[tokio::test]
async fn without_redis_who_is_logged_in_reads_on_and_writes_nothing_and_the_rest_goes_on() {
    let mut redis = tokio::task::spawn_blocking(|| servers::Redis::start().unwrap()).await.unwrap();
    let variables = [("CHATPLATFORM_RATE_LIMITS__AUTH__BURST", "5")];
    let world =
        World::open_with(With { redis_url: Some(redis.url()), notification: None, variables: &variables }).await;
    let (here, early, late) = (token(), token(), token_with(&["admin"], 600));
    let get = |token: &Token| world.get("/api/v1/users/me").bearer_auth(&token.text);
    let post = |token: &Token| world.post("/api/v1/conversations").bearer_auth(&token.text);
    assert_eq!(answer(get(&here)).await.0, StatusCode::OK);
    // What had ended before and what ends now are both known by the time that nobody can be asked.
    let mut connection = world.redis().await;
    let _: () = connection.set_ex(format!("auth:revoked:{}", early.session), 1, 600).await.unwrap();
    until("the gateway listens", async || {
        let announcement = serde_json::json!({"sid": late.session, "userId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}).to_string();
        connection.publish::<_, _, u32>("auth:revocations", announcement).await.unwrap() > 0
    })
    .await;
    redis.kill();

    until("Redis is away", async || problem(post(&here)).await == (503, "unavailable".into())).await;
    assert_eq!(answer(get(&here)).await.0, StatusCode::OK);
    assert_eq!(problem(get(&late)).await, (401, "session-revoked".into()));
    let staff = token_with(&["admin"], 600);
    assert_eq!(problem(world.get("/api/v1/admin/users").bearer_auth(&staff.text)).await, (503, "unavailable".into()));
    // What needs no log-in is still answered, and still limited.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(answer(world.post("/api/v1/auth/login")).await.0.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    let health = world.http.get(format!("http://{}/health", world.admin)).send().await.unwrap();
    assert!(health.text().await.unwrap().contains(r#""redis":{"status":"failing""#));

    let _redis = tokio::task::spawn_blocking(move || redis.restart().map(|()| redis)).await.unwrap().unwrap();
    until("Redis is back", async || answer(post(&here)).await.0 == StatusCode::OK).await;
}

#[tokio::test]
async fn without_redis_a_session_that_ended_before_the_gateway_came_is_not_taken_for_one_that_lasts() {
    let mut redis = tokio::task::spawn_blocking(|| servers::Redis::start().unwrap()).await.unwrap();
    let (ended, here) = (token(), token());
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = connection.set_ex(format!("auth:revoked:{}", ended.session), 1, 600).await.unwrap();
    let world = World::open_with(With { redis_url: Some(redis.url()), notification: None, variables: &[] }).await;
    let get = |token: &Token| world.get("/api/v1/users/me").bearer_auth(&token.text);
    assert_eq!(answer(get(&here)).await.0, StatusCode::OK);
    until("the gateway listens", async || {
        let listeners: Vec<(String, u32)> =
            redis::cmd("PUBSUB").arg("NUMSUB").arg("auth:revocations").query_async(&mut connection).await.unwrap();
        listeners[0].1 > 0
    })
    .await;
    redis.kill();
    until("Redis is away", async || {
        problem(world.post("/api/v1/conversations").bearer_auth(&here.text)).await == (503, "unavailable".into())
    })
    .await;
    // Either it was read, or too little is known to let anybody in.
    let (status, code) = problem(get(&ended)).await;
    assert!([(401, "session-revoked"), (503, "unavailable")].contains(&(status, code.as_str())), "{status} {code}");
}

#[tokio::test]
async fn the_rights_that_the_gateway_has_in_redis_are_enough() {
    let acl = "user default off\n\
               user gateway on >secret ~gateway:* %R~auth:revoked:* resetchannels &auth:* +@all -@dangerous\n\
               user admin on >admin ~* &* +@all\n";
    let redis = tokio::task::spawn_blocking(move || servers::Redis::start_with_users(acl).unwrap()).await.unwrap();
    let redis_url = Some(redis.url_for("gateway", "secret"));
    let world = World::open_with(With { redis_url, notification: None, variables: &[] }).await;
    let (status, headers, _) = answer(world.get("/api/v1/users/me").bearer_auth(token().text)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers.contains_key("ratelimit"));
    let refused: Result<(), _> =
        redis::cmd("SET").arg("auth:revoked:01").arg(1).query_async(&mut world.redis().await).await;
    assert!(refused.is_err(), "the gateway may revoke");
}

#[tokio::test]
async fn a_stop_answers_what_is_in_hand_and_lets_go_of_sockets_within_its_time() {
    let variables = [("CHATPLATFORM_SERVER__DRAIN_SECONDS", "5")];
    let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", world.address);
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap(), Message::text("hello"));
        sockets.push(socket);
    }
    let in_hand = tokio::spawn(answer(world.get("/api/v1/users/slow").bearer_auth(token().text)));
    let deadline = Instant::now() + SOON;
    loop {
        let metrics =
            world.http.get(format!("http://{}/metrics", world.admin)).send().await.unwrap().text().await.unwrap();
        if metrics.contains("http_requests_in_flight 1\n") && metrics.contains("gateway_tunnels_open 5\n") {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let began = Instant::now();
    world.shutdown.begin();
    assert_eq!(in_hand.await.unwrap().0, StatusCode::OK);
    for mut socket in sockets {
        while let Some(Ok(_)) = timeout(SOON, socket.next()).await.unwrap() {}
    }
    timeout(SOON, world.serving).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "the stop took {:?}", began.elapsed());
    assert!(TcpStream::connect(world.address).await.is_err());
}
