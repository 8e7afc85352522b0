//! What pods say of the keys that they go by, asked of each on its admin port while a rotation is under way.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::{self, Body};
use axum::http::Request;
use contract::keys::KeysInUse;
use futures::{StreamExt as _, stream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use serde::Deserialize;

use super::of;
use crate::build::{Component, service};
use crate::secrets::rotation::{ANNOTATION, Kind, State, Testimony};

/// How long a pod may take to answer: longer than it waits for its own servers.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pods that are asked at once.
const AT_ONCE: usize = 8;
/// The longest answer, in bytes.
const LONGEST: usize = 64 * 1024;

/// Somebody to be asked.
struct Consumer {
    component: Component,
    pod: String,
    born: Timestamp,
    address: Option<IpAddr>,
}

/// Asks every consumer of a ring whose rotation is under way; nobody while none is.
pub(super) async fn ask(secrets: &[Secret], pods: &[Pod], platform: &str) -> Vec<Testimony> {
    stream::iter(consumers(secrets, pods, platform)).map(testimony).buffered(AT_ONCE).collect().await
}

/// Pods that read such a ring. Who is about to end serves people to the end, and so counts.
fn consumers(secrets: &[Secret], pods: &[Pod], platform: &str) -> Vec<Consumer> {
    let asked: Vec<&Component> = under_way(secrets, platform).flat_map(Kind::readers).collect();
    let mut consumers = Vec::new();
    for component in Component::ALL.into_iter().filter(|component| asked.contains(&component)) {
        let pods = pods.iter().filter(|pod| of(pod.labels(), component) && may_run(pod));
        consumers.extend(pods.map(|pod| Consumer {
            component,
            pod: pod.name_any(),
            // It always has been made some time.
            born: pod.creation_timestamp().map_or(Timestamp::MIN, |time| time.0),
            address: address(pod),
        }));
    }
    consumers
}

async fn testimony(Consumer { component, pod, born, address }: Consumer) -> Testimony {
    let port = u16::try_from(service::ADMIN_PORT).unwrap_or_default();
    let said = match address {
        Some(address) => question(SocketAddr::new(address, port)).await,
        None => Err("it has no address yet".to_owned()),
    };
    Testimony { component, pod, born, said }
}

/// Kinds of which a step is written down.
fn under_way<'a>(secrets: &'a [Secret], platform: &'a str) -> impl Iterator<Item = Kind> + 'a {
    Kind::ALL.into_iter().filter(move |kind| {
        let name = format!("{platform}-{}", kind.object());
        let secret = secrets.iter().find(|secret| secret.name_any() == name);
        let text = secret.and_then(|secret| secret.annotations().get(ANNOTATION));
        // What cannot be read is told of where it is used.
        text.and_then(|text| serde_json::from_str::<State>(text).ok()).is_some_and(|state| state.step.is_some())
    })
}

/// Whether a pod runs, or will.
fn may_run(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

async fn question(address: SocketAddr) -> Result<KeysInUse, String> {
    tokio::time::timeout(PATIENCE, answer(address))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// What `/health` says, however well the pod is.
async fn answer(address: SocketAddr) -> Result<KeysInUse, String> {
    #[derive(Deserialize)]
    struct Health {
        #[serde(default)]
        keys: KeysInUse,
    }

    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build::<_, Body>(HttpConnector::new());
    let request = Request::get(format!("http://{address}/health")).body(Body::empty());
    let answer = client.request(request.map_err(|error| error.to_string())?).await.map_err(|error| words(&error))?;
    let text = body::to_bytes(Body::new(answer.into_body()), LONGEST).await.map_err(|error| words(&error))?;
    let health: Health =
        serde_json::from_slice(&text).map_err(|_| "its answer is no report of its health".to_owned())?;
    Ok(health.keys)
}

/// An error with its causes, of which the last says most.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use contract::keys::KeyUse;
    use runtime::config::Server;
    use runtime::health::Health;
    use runtime::keys::KeyRings;
    use runtime::service::Service;
    use tokio::net::TcpListener;

    use super::*;
    use crate::build::labels;

    #[tokio::test]
    async fn a_service_tells_of_its_keys_even_while_it_is_unwell_and_nobody_else_does() {
        let any = "127.0.0.1:0".parse().unwrap();
        let settings = Server { listen: any, admin_listen: any, drain_seconds: 1, settle_seconds: 0 };
        let keys = KeyUse { current: Some("new".into()), accepted: vec!["old".into(), "new".into()], stored: None };
        let told = keys.clone();
        let unwell = Health::new().check("attic", async || Err::<(), _>("the roof is gone"));
        let service =
            Service::new("test", &settings).health(unwell).keys(KeyRings::new().with("signing", move || told.clone()));
        let bound = service.bind().await.unwrap();
        let (admin, public, shutdown) = (bound.admin_address().unwrap(), bound.address().unwrap(), bound.shutdown());
        let serving = tokio::spawn(bound.serve());

        assert_eq!(question(admin).await, Ok([("signing".to_owned(), keys)].into()));
        // Any other service answers, and has no such report.
        assert_eq!(question(public).await, Ok(KeysInUse::new()));
        shutdown.begin();
        serving.await.unwrap().unwrap();
        let gone = question(admin).await.unwrap_err();
        assert!(gone.to_lowercase().contains("refused"), "{gone}");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for_any_longer_than_it_may_take() {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(question(silent.local_addr().unwrap()).await.unwrap_err(), "no answer within 5 s");
    }

    #[tokio::test]
    async fn nobody_is_asked_while_nothing_rotates_and_a_pod_without_an_address_says_nothing() {
        let pod = |name: &str, component: &str, phase: &str| -> Pod {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": name, "labels": {labels::NAME: component}}, "status": {"phase": phase},
            }))
            .unwrap()
        };
        let pods = [pod("a", "chat", "Pending"), pod("b", "chat", "Failed"), pod("c", "auth", "Pending")];
        let secret = |step: &str| -> Secret {
            let state =
                format!(r#"{{"platform":"u","revision":1,"generation":1,"rotatedAt":"2026-01-01T00:00:00Z"{step}}}"#);
            let annotations = [(ANNOTATION, state)];
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "acme-message-keys", "annotations": std::collections::BTreeMap::from(annotations)},
            }))
            .unwrap()
        };
        assert_eq!(ask(&[secret("")], &pods, "acme").await, []);
        let step = r#","step":{"name":"Spread","key":"mk-2","since":"2026-01-01T00:00:00Z"}"#;
        let said = Err("it has no address yet".to_owned());
        let expected = Testimony { component: Component::Chat, pod: "a".into(), born: Timestamp::MIN, said };
        assert_eq!(ask(&[secret(step)], &pods, "acme").await, [expected]);
    }
}
