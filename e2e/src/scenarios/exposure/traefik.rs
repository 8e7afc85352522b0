//! The platform behind a real controller, which terminates TLS: Traefik, by an Ingress and by a Gateway.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{LIVE_WITHIN, Restored};
use crate::offline::{go, images as offline};
use crate::scenarios::Stage;
use crate::scenarios::forward::Forward;
use crate::scenarios::on_demand;
use crate::scenarios::onlooker::Onlooker;
use crate::scenarios::people::{text, unique};
use crate::scenarios::rest::Rest;
use crate::scenarios::wait::until;
use crate::source;

const NAMESPACE: &str = "traefik";
/// The Gateway, in the platform's namespace.
const GATEWAY: &str = "public";
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
/// What Traefik's manifest and the scenario need of the Gateway API.
const DEFINITIONS: [&str; 3] = [
    "crd/gatewayclasses.gateway.networking.k8s.io",
    "crd/gateways.gateway.networking.k8s.io",
    "crd/httproutes.gateway.networking.k8s.io",
];
const GONE_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn traefik_takes_the_ingress_and_people_chat_by_way_of_it(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let traefik = Traefik::install(stage)?;
    let restored = Restored(stage);
    let exposure =
        json!({"type": "Ingress", "nodePort": null, "className": "traefik", "controllerNamespace": NAMESPACE});
    stage.change(&json!({"spec": {"exposure": exposure}}))?;
    stage.wait_until_ready()?;
    people_chat(stage)?;
    drop(restored);
    drop(traefik);
    stage.wait_until_usable().map(drop)
}

pub(crate) fn traefik_takes_the_route_of_a_gateway_and_people_chat_by_way_of_it(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let traefik = Traefik::install(stage)?;
    let restored = Restored(stage);
    stage.apply(&gateway(stage).to_string())?;
    let exposure = json!({
        "type": "Gateway",
        "nodePort": null,
        "parentRefs": [{"name": GATEWAY, "sectionName": "http"}, {"name": GATEWAY, "sectionName": "https"}],
        "controllerNamespace": NAMESPACE,
    });
    stage.change(&json!({"spec": {"exposure": exposure}}))?;
    // Which it is once the Gateway has taken the route.
    stage.wait_until_ready()?;
    people_chat(stage)?;
    drop(restored);
    let route = format!("{}-edge", stage.platform);
    until("the route is gone", GONE_WITHIN, || {
        let left = stage.kubectl(["get", "httproute", &route, "--ignore-not-found", "--output=name"])?;
        ensure!(left.is_empty(), "{left} is there");
        Ok(())
    })?;
    drop(traefik);
    stage.wait_until_usable().map(drop)
}

/// Somebody registers, and opens a WebSocket, by way of Traefik.
fn people_chat(stage: &Stage) -> Result<()> {
    let secure = Forward::elsewhere(&stage.cluster, NAMESPACE, "deployment/traefik", HTTPS)?;
    let mut onlooker = Onlooker::at(stage, secure.port)?;
    let own = stage.secret(&format!("{}-edge-tls", stage.platform), "tls.crt")?;
    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    until("Traefik shows the certificate of the platform", LIVE_WITHIN, || {
        ensure!(bare(&onlooker.certificate()?) == bare(&own), "it shows another");
        Ok(())
    })?;

    let username = unique("behind");
    let body = json!({"email": format!("{username}@example.com"), "username": username, "password": "correct horse battery staple"});
    let answer = until("registering", LIVE_WITHIN, || {
        let answer = onlooker.request(&json!({
            "method": "POST",
            "path": "/api/v1/auth/register",
            // What a client says of itself is not believed.
            "headers": {"content-type": "application/json", "x-forwarded-for": "198.51.100.1"},
            "body": body.to_string(),
        }))?;
        ensure!(answer["status"] == 201, "answered {answer}");
        Ok(answer)
    })?;
    let token = text(&body_of(&answer)?, "accessToken")?;
    let authorization = format!("Bearer {token}");
    let headers = json!({"authorization": authorization});
    let sessions = onlooker.request(&json!({"path": "/api/v1/auth/sessions", "headers": headers}))?;
    let address = text(&body_of(&sessions)?["items"][0], "address")?;
    // kubectl's port-forward comes to Traefik from within its pod; the edge sees Traefik's own address.
    ensure!(address == "127.0.0.1" || address == "::1", "the session is said to come from {address}");
    let first = onlooker.open_websocket()?;
    ensure!(first.starts_with("0{") && first.contains("sid"), "the WebSocket says {first}");

    let plain = Forward::elsewhere(&stage.cluster, NAMESPACE, "deployment/traefik", HTTP)?;
    let host = stage.document()["spec"]["host"].as_str().context("the platform has no host")?.to_owned();
    let rest = Rest::unencrypted(&format!("http://localhost:{}", plain.port));
    let sent = rest.send("GET", "/", &[("host", host.clone())], &[])?;
    ensure!(
        sent.status == 308 && sent.header("location") == format!("https://{host}/"),
        "what comes by http is answered {} {}",
        sent.status,
        sent.header("location")
    );
    Ok(())
}

fn body_of(answer: &Value) -> Result<Value> {
    serde_json::from_str(answer["body"].as_str().unwrap_or_default()).with_context(|| format!("no JSON: {answer}"))
}

/// A Gateway that shows the certificate of the edge. Its listeners have the ports of Traefik's entry points.
fn gateway(stage: &Stage) -> Value {
    let certificate = json!({"name": format!("{}-edge-tls", stage.platform)});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY},
        "spec": {
            "gatewayClassName": "traefik",
            "listeners": [
                {"name": "http", "port": HTTP, "protocol": "HTTP"},
                {
                    "name": "https",
                    "port": HTTPS,
                    "protocol": "HTTPS",
                    "tls": {"mode": "Terminate", "certificateRefs": [certificate]},
                },
            ],
        },
    })
}

/// Traefik in the cluster, for as long as this lives.
struct Traefik<'a> {
    stage: &'a Stage,
    definitions: String,
    manifest: String,
}

impl<'a> Traefik<'a> {
    fn install(stage: &'a Stage) -> Result<Self> {
        on_demand::put_image(&stage.cluster, offline::TRAEFIK)?;
        let (module, version) = go::GATEWAY_API;
        let definitions = go::directory_of(module, version)?.join("config/crd/standard").display().to_string();
        let manifest = fs::read_to_string(source::root()?.join("e2e/manifests/traefik.yaml"))?;
        let traefik = Self { stage, definitions, manifest };
        let cluster = &stage.cluster;
        cluster.kubectl(["apply", "--server-side", "--filename", &traefik.definitions])?;
        cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s"].iter().chain(&DEFINITIONS))?;
        cluster.apply(&traefik.manifest)?;
        cluster.kubectl(["rollout", "status", "deployment/traefik", "--namespace", NAMESPACE, "--timeout=120s"])?;
        Ok(traefik)
    }
}

impl Drop for Traefik<'_> {
    fn drop(&mut self) {
        // What is left is in nobody's way but the scenario's that wants a cluster without these kinds.
        let _ = self.stage.kubectl(["delete", "gateway", GATEWAY, "--ignore-not-found"]);
        let delete = ["delete", "--ignore-not-found", "--filename", "-"];
        let _ = self.stage.cluster.kubectl_command(delete).input(&self.manifest).execute();
        let _ = self.stage.cluster.kubectl(["delete", "--ignore-not-found", "--filename", &self.definitions]);
    }
}
