//! A service's life on real sockets: what it answers, and how it stops.

#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::get};
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{
    config::Server,
    service::{Service, ServiceError},
    shutdown::Shutdown,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    admin: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), ServiceError>>,
}

async fn start(drain_seconds: u64, put_together: impl FnOnce(Service) -> Service) -> Running {
    start_with(0, drain_seconds, put_together).await
}

async fn start_with(settle_seconds: u64, drain_seconds: u64, put_together: impl FnOnce(Service) -> Service) -> Running {
    let any = "127.0.0.1:0".parse().unwrap();
    let settings = Server { listen: any, admin_listen: any, drain_seconds, settle_seconds };
    let bound = put_together(Service::new("test", &settings)).bind().await.unwrap();
    Running {
        address: bound.address().unwrap(),
        admin: bound.admin_address().unwrap(),
        shutdown: bound.shutdown(),
        serving: tokio::spawn(bound.serve()),
    }
}

async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

async fn get_text(address: SocketAddr, path: &str) -> String {
    read_all(send(address, &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")).await).await
}

#[tokio::test]
async fn health_and_metrics_are_on_the_admin_listener_alone() {
    let running = start(1, |service| service.router(Router::new().route("/hello", get(async || "hello")))).await;
    assert!(get_text(running.address, "/hello").await.ends_with("hello"));
    assert!(get_text(running.admin, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get_text(running.admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get_text(running.admin, "/metrics").await;
    assert!(metrics.contains(r#"http_requests_total{method="GET",route="/hello",status="200"} 1"#), "{metrics}");
    for path in ["/metrics", "/livez", "/readyz", "/health"] {
        assert!(get_text(running.address, path).await.starts_with("HTTP/1.1 404"), "{path} is public");
    }
}

#[tokio::test]
async fn bare_errors_and_panics_are_problems_with_the_callers_trace_id() {
    async fn panics() -> &'static str {
        let empty: Vec<&str> = Vec::new();
        empty[0]
    }
    let running = start(1, |service| service.router(Router::new().route("/broken", get(panics)))).await;
    for (request_line, status, code) in [
        ("GET /nowhere", "HTTP/1.1 404", r#""code":"not-found""#),
        ("POST /broken", "HTTP/1.1 405", r#""code":"method-not-allowed""#),
        ("GET /broken", "HTTP/1.1 500", r#""code":"internal""#),
    ] {
        let request = format!(
            "{request_line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
        );
        let answer = read_all(send(running.address, &request).await).await;
        assert!(answer.starts_with(status), "{answer}");
        assert!(answer.contains("application/problem+json") && answer.contains(code), "{answer}");
        assert!(answer.contains(r#""traceId":"4bf92f3577b34da6a3ce929d0e0e4736""#), "{answer}");
    }
}

#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_service_stops() {
    let (entered, wait_until_entered) = oneshot::channel();
    let (let_go, held) = oneshot::channel::<()>();
    let both = std::sync::Mutex::new(Some((entered, held)));
    let handler = async move || {
        let (entered, held) = both.lock().unwrap().take().unwrap();
        entered.send(()).unwrap();
        held.await.unwrap();
        "finished"
    };
    let handler = std::sync::Arc::new(handler);
    let router = Router::new().route(
        "/slow",
        get(move || {
            let handler = handler.clone();
            async move { handler().await }
        }),
    );
    let running = start(30, |service| service.router(router)).await;
    let stream = send(running.address, "GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    wait_until_entered.await.unwrap();

    running.shutdown.begin();
    running.shutdown.soft().cancelled().await;
    assert!(get_text(running.admin, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get_text(running.admin, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(!running.serving.is_finished());
    let_go.send(()).unwrap();
    assert!(read_all(stream).await.ends_with("finished"));
    timeout(SOON, running.serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

async fn echo_after_upgrade(mut request: Request) -> impl IntoResponse {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        tokio::io::copy(&mut reader, &mut writer).await
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("echo")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

async fn upgraded(address: SocketAddr) -> BufReader<TcpStream> {
    let request = "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut stream = BufReader::new(send(address, request).await);
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("connection: upgrade"), "{head}");
    stream
}

/// Status line and headers of an answer.
async fn read_head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(timeout(SOON, stream.read_line(&mut head)).await.unwrap().unwrap(), 0, "it ends with {head}");
    }
    head
}

async fn echo(stream: &mut BufReader<TcpStream>, word: &str) -> String {
    stream.get_mut().write_all(format!("{word}\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    timeout(SOON, stream.read_line(&mut line)).await.unwrap().unwrap();
    line
}

/// Longer than any of these tests: the service goes on taking connections.
const FOR_LONG: u64 = 3600;

#[tokio::test]
async fn from_the_beginning_of_a_stop_each_answer_tells_its_client_to_close_and_new_connections_are_still_taken() {
    let router = Router::new().route("/hello", get(async || "hello"));
    let running = start_with(FOR_LONG, 1, |service| service.router(router)).await;
    let request = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut kept = BufReader::new(send(running.address, request).await);
    let head = read_head(&mut kept).await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection:"), "{head}");
    let mut hello = [0; 5];
    kept.read_exact(&mut hello).await.unwrap();

    running.shutdown.begin();
    assert!(get_text(running.admin, "/readyz").await.starts_with("HTTP/1.1 503"));
    // What was idle is not closed under a request that may be on its way.
    kept.get_mut().write_all(request.as_bytes()).await.unwrap();
    let answers = [read_all(kept.into_inner()).await, read_all(send(running.address, request).await).await];
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_socket_that_comes_while_a_service_is_about_to_stop_is_upgraded_all_the_same() {
    let router = Router::new().route("/echo", get(echo_after_upgrade));
    let running = start_with(FOR_LONG, 1, |service| service.router(router)).await;
    running.shutdown.begin();
    let mut stream = upgraded(running.address).await;
    assert_eq!(echo(&mut stream, "hello").await, "hello\n");
}

#[tokio::test]
async fn a_connection_of_http_2_is_told_to_go_at_the_beginning_of_a_stop_and_its_requests_are_answered() {
    let (entered, wait_until_entered) = oneshot::channel();
    let (let_go, held) = oneshot::channel::<()>();
    let both = std::sync::Arc::new(std::sync::Mutex::new(Some((entered, held))));
    let slow = get(move || {
        let (entered, held) = both.lock().unwrap().take().unwrap();
        async move {
            entered.send(()).unwrap();
            held.await.unwrap();
            "finished"
        }
    });
    let running = start_with(FOR_LONG, 1, |service| service.router(Router::new().route("/slow", slow))).await;
    let stream = TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/slow", running.address)).body(Body::empty()).unwrap();
    let answer = tokio::spawn(client.send_request(request));
    wait_until_entered.await.unwrap();

    running.shutdown.begin();
    let_go.send(()).unwrap();
    let answer = answer.await.unwrap().unwrap();
    assert!(!answer.headers().contains_key(header::CONNECTION));
    let body = axum::body::to_bytes(Body::new(answer.into_body()), 100).await.unwrap();
    assert_eq!(body, "finished");
    // The client would have kept it.
    timeout(SOON, connection).await.unwrap().unwrap().unwrap();
    assert!(client.ready().await.is_err() && !running.shutdown.soft().is_cancelled());
}

#[tokio::test]
async fn a_stop_waits_for_upgraded_connections_too() {
    let running = start(30, |service| service.router(Router::new().route("/echo", get(echo_after_upgrade)))).await;
    let mut stream = upgraded(running.address).await;
    running.shutdown.begin();
    running.shutdown.soft().cancelled().await;
    assert_eq!(echo(&mut stream, "still here").await, "still here\n");
    assert!(!running.serving.is_finished());
    drop(stream);
    timeout(SOON, running.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_given_up_when_time_is_up() {
    let running = start(1, |service| service.router(Router::new().route("/echo", get(echo_after_upgrade)))).await;
    let mut stream = upgraded(running.address).await;
    assert_eq!(echo(&mut stream, "hello").await, "hello\n");
    running.shutdown.begin();
    timeout(SOON, running.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_tasks_and_a_failed_task_stops_the_service() {
    let shutdown = Shutdown::new();
    let (soft, (ended, wait_until_ended)) = (shutdown.soft().clone(), oneshot::channel());
    let running = start(30, |service| {
        service.with_shutdown(shutdown).task("consumer", async move {
            soft.cancelled().await;
            ended.send("finished its work").unwrap();
        })
    })
    .await;
    running.shutdown.begin();
    timeout(SOON, running.serving).await.unwrap().unwrap().unwrap();
    assert_eq!(wait_until_ended.await.unwrap(), "finished its work");

    let failing = start(30, |service| service.task("relay", async { Err("the database is gone") })).await;
    let error = timeout(SOON, failing.serving).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "task relay failed: the database is gone");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = start(1, |service| service).await;
    let settings = Server {
        listen: running.address,
        admin_listen: "127.0.0.1:0".parse().unwrap(),
        drain_seconds: 1,
        settle_seconds: 0,
    };
    let error = Service::new("test", &settings).bind().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", running.address));
}
