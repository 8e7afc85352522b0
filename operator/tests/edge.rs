//! The edge's server itself, by the files that the operator writes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use operator::build::edge;
use operator::observe::Observed;
use operator::validate::{Platform, Upstreams, validate};
use serde_json::json;
use servers::{Balancer, Listens, Load, Program, Request};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);
const LISTENS: Listens<'_> = Listens { clients: 8080, probes: 8081, others: &[8443] };

/// Behind a controller, as that speaks plain http.
fn platform() -> Platform {
    let document = serde_json::from_value(json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": "acme", "namespace": "nowhere", "uid": "u-1"},
        "spec": {"host": "chat.acme.example", "exposure": {"type": "Ingress"}},
    }))
    .unwrap();
    validate(&document, &Observed::default(), &mut rand::rng(), jiff::Timestamp::now()).unwrap()
}

/// The files of the edge before a gateway at this address.
fn files(gateway: SocketAddr) -> BTreeMap<String, String> {
    let nowhere = IpAddr::from([192, 0, 2, 1]);
    let (files, _) = edge::server(&platform(), &Upstreams { gateway: nowhere, web: nowhere });
    let fill = |text: String| text.replace("server 192.0.2.1:8080 ", &format!("server {gateway} "));
    files.data.unwrap().into_iter().map(|(name, text)| (name, fill(text))).collect()
}

/// A gateway that takes everything.
async fn gateway() -> SocketAddr {
    // A server that answers before it has read all of a body closes the connection.
    let router = Router::new().fallback(async |uri: Uri, _read: Bytes| match uri.path() {
        "/api/v1/conversations" => StatusCode::OK,
        _ => StatusCode::NOT_FOUND,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn wait_until_ready(edge: &Program) {
    let deadline = Instant::now() + SOON;
    while !edge.is_ready() {
        assert!(Instant::now() < deadline, "{}", edge.log().unwrap());
        sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_one_edge_takes_the_place_of_another() {
    let (folder, files) = (tempfile::tempdir().unwrap(), files(gateway().await));
    let start = |name| Program::start_nginx(name, folder.path(), &files, &LISTENS).unwrap();
    let (old, new) = (start("old"), start("new"));
    [&old, &new].into_iter().for_each(wait_until_ready);

    let balancer = Balancer::start().unwrap();
    balancer.lead_to(&[&old]).unwrap();
    let load = Load::start(&balancer, |number| Request {
        method: if number.is_multiple_of(2) { "GET" } else { "POST" },
        path: "/api/v1/conversations".to_owned(),
        headers: vec![("x-forwarded-proto", "https".to_owned())],
        body: (!number.is_multiple_of(2)).then(|| json!({"title": "a group"})),
    });
    load.replace(&balancer, old, &new).unwrap();
    load.end().unwrap();
}
