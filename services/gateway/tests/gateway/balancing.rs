//! How requests are spread over the pods of a service, and that none is lost while pods come and go.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing::get};
use http::StatusCode;
use tokio::time::Instant;

use crate::{
    names::{Names, Pod, free_address, free_port},
    world::{SOON, With, World, answer, metric, token, until},
};

const PODS: &str = "notification-headless.test";
const SERVICE: &str = "notification.test";
const PATH: &str = "/api/v1/notifications";
/// How often the gateway asks for names here.
const REFRESH: &str = "50";

struct Cluster {
    names: Names,
    port: u16,
    world: World,
}

impl Cluster {
    /// A gateway before the pods that `PODS` and `SERVICE` lead to.
    async fn open(variables: &[(&str, &str)]) -> Self {
        let (names, port) = (Names::start().await, free_port());
        let service = format!("http://{SERVICE}:{port}");
        let pods = format!("http://{PODS}:{port}");
        let server = names.address.to_string();
        let own = [
            ("CHATPLATFORM_UPSTREAMS__NOTIFICATION", service.as_str()),
            ("CHATPLATFORM_ENDPOINTS__NOTIFICATION", &pods),
            ("CHATPLATFORM_DISCOVERY__SERVERS", &server),
            ("CHATPLATFORM_DISCOVERY__REFRESH_MILLISECONDS", REFRESH),
            ("CHATPLATFORM_RATE_LIMITS__READ__BURST", "1000000"),
            ("CHATPLATFORM_RATE_LIMITS__WRITE__BURST", "1000000"),
        ];
        let variables = [&own, variables].concat();
        let world = World::open_with(With { redis_url: None, notification: None, variables: &variables }).await;
        Self { names, port, world }
    }

    async fn pod(&self) -> Pod {
        self.pod_that_settles(0).await
    }

    /// One that goes on for as long after it was told to stop.
    async fn pod_that_settles(&self, seconds: u64) -> Pod {
        let address = free_address();
        Pod::start(address, self.port, seconds, named(address)).await
    }

    fn lead_to(&self, pods: &[&Pod]) {
        let addresses: Vec<_> = pods.iter().map(|pod| pod.address).collect();
        self.names.set(PODS, &addresses);
    }

    /// Until the gateway has as many addresses as this.
    async fn until_it_knows(&self, count: u64) {
        until("the gateway knows the pods", async || {
            metric(&self.world, r#"gateway_upstream_endpoints{upstream="notification"}"#).await == Some(count)
        })
        .await;
    }

    async fn asked(&self) -> Ipv4Addr {
        let (status, _, body) = answer(self.world.get(PATH).bearer_auth(token().text)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["pod"].as_str().unwrap().parse().unwrap()
    }
}

/// Says who it is, and what it was sent.
fn named(address: Ipv4Addr) -> Router {
    let say = move |body: Bytes| async move {
        axum::Json(serde_json::json!({"pod": address, "body": String::from_utf8_lossy(&body)}))
    };
    Router::new().route(PATH, get(say).post(say).put(say)).fallback(say)
}

#[tokio::test]
async fn requests_are_spread_over_all_pods() {
    let cluster = Cluster::open(&[]).await;
    let pods = [cluster.pod().await, cluster.pod().await, cluster.pod().await];
    cluster.lead_to(&pods.each_ref());
    cluster.until_it_knows(3).await;
    let mut counts = [0; 3];
    for _ in 0..150 {
        let who = cluster.asked().await;
        counts[pods.iter().position(|pod| pod.address == who).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

/// What a pod does here is what Kubernetes has it do: its successor is ready first, then its name is taken away, and then it is
/// told to stop, which it does after it has gone on for longer than the gateway keeps idle connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_every_pod_is_replaced_under_load_no_request_fails_whatever_its_method() {
    let cluster = Arc::new(Cluster::open(&[]).await);
    let pod = async || cluster.pod_that_settles(6).await;
    let mut pods = vec![pod().await, pod().await, pod().await];
    cluster.lead_to(&pods.iter().collect::<Vec<_>>());
    cluster.until_it_knows(3).await;

    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..6)
        .map(|worker| {
            let (cluster, stop) = (Arc::clone(&cluster), Arc::clone(&stop));
            tokio::spawn(async move {
                let token = token();
                let mut sent = 0_usize;
                while !stop.load(Ordering::SeqCst) {
                    let text = format!("{worker}/{sent}");
                    let request = if sent.is_multiple_of(2) {
                        cluster.world.get(PATH)
                    } else {
                        cluster.world.post(PATH).body(text.clone())
                    };
                    let (status, _, body) = answer(request.bearer_auth(&token.text)).await;
                    assert_eq!(status, StatusCode::OK, "request {text}: {body}");
                    assert!(sent.is_multiple_of(2) || body["body"] == text);
                    sent += 1;
                }
                sent
            })
        })
        .collect();

    let mut stopping = Vec::new();
    for _ in 0..3 {
        let old = pods.remove(0);
        pods.push(pod().await);
        cluster.lead_to(&pods.iter().collect::<Vec<_>>());
        stopping.push(tokio::spawn(old.stop()));
    }
    for old in stopping {
        old.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for worker in load {
        let sent = worker.await.unwrap();
        assert!(sent > 20, "{sent} requests are no load");
    }
}

#[tokio::test]
async fn a_pod_that_is_gone_while_its_name_still_leads_there_costs_no_request() {
    let cluster = Cluster::open(&[]).await;
    let (gone, left) = (cluster.pod().await, cluster.pod().await);
    cluster.lead_to(&[&gone, &left]);
    cluster.until_it_knows(2).await;
    gone.stop().await;
    for number in 0..40 {
        // A body that passes through once, so that it is not there any more once it was begun.
        let chunks = (0..3).map(move |part| Ok::<_, std::io::Error>(format!("{number}.{part};")));
        let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        let (status, _, seen) = answer(cluster.world.post(PATH).bearer_auth(token().text).body(body)).await;
        assert_eq!((status, seen["pod"].as_str()), (StatusCode::OK, Some(left.address.to_string().as_str())));
        assert_eq!(seen["body"], format!("{number}.0;{number}.1;{number}.2;"));
    }
    let aside = metric(&cluster.world, r#"gateway_upstream_endpoints_set_aside{upstream="notification"}"#).await;
    assert_eq!(aside, Some(1));
}

#[tokio::test]
async fn a_pod_that_was_set_aside_is_used_again_once_it_takes_connections() {
    let cluster = Cluster::open(&[]).await;
    let (first, second) = (cluster.pod().await, cluster.pod().await);
    cluster.lead_to(&[&first, &second]);
    cluster.until_it_knows(2).await;
    let address = first.address;
    first.stop().await;
    until("it is set aside", async || {
        cluster.asked().await;
        metric(&cluster.world, r#"gateway_upstream_endpoints_set_aside{upstream="notification"}"#).await == Some(1)
    })
    .await;
    let _back = Pod::start(address, cluster.port, 0, named(address)).await;
    until("it is asked again", async || cluster.asked().await == address).await;
    assert_eq!(
        metric(&cluster.world, r#"gateway_upstream_endpoints_set_aside{upstream="notification"}"#).await,
        Some(0)
    );
}

#[tokio::test]
async fn when_no_name_leads_to_a_pod_the_services_own_address_does() {
    let cluster = Cluster::open(&[]).await;
    let pod = cluster.pod().await;
    cluster.names.set(PODS, &[]);
    cluster.names.set(SERVICE, &[pod.address]);
    until("the gateway finds its way", async || {
        answer(cluster.world.get(PATH).bearer_auth(token().text)).await.0 == StatusCode::OK
    })
    .await;
    // And when those that names lead to do not answer.
    cluster.names.set(PODS, &[free_address()]);
    cluster.until_it_knows(1).await;
    for _ in 0..10 {
        assert_eq!(cluster.asked().await, pod.address);
    }
}

#[tokio::test]
async fn a_name_server_that_falls_silent_takes_nobody_away() {
    let cluster = Cluster::open(&[]).await;
    let pod = cluster.pod().await;
    cluster.lead_to(&[&pod]);
    cluster.until_it_knows(1).await;
    cluster.names.fall_silent();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(cluster.asked().await, pod.address);
    }
}

#[tokio::test]
async fn a_service_that_has_no_pods_is_unavailable_at_once_and_there_as_soon_as_it_has_one() {
    let cluster = Cluster::open(&[]).await;
    let began = Instant::now();
    let (status, headers, body) = answer(cluster.world.get(PATH).bearer_auth(token().text)).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")));
    assert!(headers.contains_key("retry-after"));
    assert!(began.elapsed() < SOON / 10, "{:?}", began.elapsed());
    let pod = cluster.pod().await;
    cluster.lead_to(&[&pod]);
    cluster.until_it_knows(1).await;
    assert_eq!(cluster.asked().await, pod.address);
}

#[tokio::test]
async fn requests_that_pile_up_at_a_slow_pod_go_to_the_others() {
    let cluster = Cluster::open(&[]).await;
    let (slow, quick) = (free_address(), cluster.pod().await);
    let stuck = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stuck);
    let never = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    });
    let slow = Pod::start(slow, cluster.port, 0, never).await;
    cluster.lead_to(&[&slow, &quick]);
    cluster.until_it_knows(2).await;
    let mut waiting = Vec::new();
    while stuck.load(Ordering::SeqCst) == 0 {
        let asked = tokio::spawn(answer(cluster.world.get(PATH).bearer_auth(token().text)));
        until("it is answered or waits for ever", async || asked.is_finished() || stuck.load(Ordering::SeqCst) > 0)
            .await;
        waiting.push(asked);
    }
    // As long as the slow one has somebody waiting, the other has less to do.
    for _ in 0..50 {
        assert_eq!(cluster.asked().await, quick.address);
    }
    assert_eq!(stuck.load(Ordering::SeqCst), 1);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}
