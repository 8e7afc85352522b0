//! How the edge is reached, and the certificate that it shows.

mod traefik;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use servers::{Authority, Identity};

use super::Stage;
use super::faults::{name_of, pods_of};
use super::forward::Forward;
use super::onlooker::Onlooker;
use super::people::Person;
use super::rest::Rest;
use super::socket::Socket;
use super::wait::until;
use crate::offline::go;
use crate::progress::seconds;

pub(super) use traefik::{
    traefik_takes_the_ingress_and_people_chat_by_way_of_it,
    traefik_takes_the_route_of_a_gateway_and_people_chat_by_way_of_it,
};

/// The user's own Secret.
const SECRET: &str = "certificate-of-a-scenario";
/// How soon a renewed certificate is shown.
const LIVE_WITHIN: Duration = Duration::from_mins(1);
/// How soon the operator has looked at a change.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
const BACK_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn a_renewed_certificate_is_live_within_a_minute_a_broken_one_never_and_no_connection_is_closed(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    let edge = pods(stage)?;
    let ada = Person::register(stage, "ada")?;
    let mut socket = Socket::connect(stage, &ada.access_token)?;
    until("a WebSocket", TOLD_WITHIN, || {
        let transport = socket.transport()?;
        ensure!(transport == "websocket", "it is {transport}");
        Ok(())
    })?;
    let mut onlooker = Onlooker::at(stage, port_of(stage.rest.url())?)?;
    let connection = connection(&mut onlooker)?;
    let own = onlooker.certificate()?;

    let restored = Restored(stage);
    let host = stage.document()["spec"]["host"].as_str().context("the platform has no host")?.to_owned();
    let authority = Authority::new()?;
    let [first, renewed] = [authority.issue_for(&[&host])?, authority.issue_for(&[&host])?];
    stage.apply(&secret(&first.certificate, &first.key).to_string())?;
    stage.change(&json!({"spec": {"tls": {"secretName": SECRET}}}))?;
    shows(&mut onlooker, &first)?;

    let began = Instant::now();
    stage.apply(&secret(&renewed.certificate, &renewed.key).to_string())?;
    shows(&mut onlooker, &renewed)?;
    stage.note(format!("live after {}", seconds(began.elapsed())));
    stage.wait_until_ready()?;

    // One that does not belong to its key.
    stage.apply(&secret(&first.certificate, &renewed.key).to_string())?;
    until("the status tells of the broken certificate", TOLD_WITHIN, || told(stage, "ReferenceInvalid", SECRET))?;
    shows(&mut onlooker, &renewed)?;

    stage.apply(&secret(&first.certificate, &first.key).to_string())?;
    shows(&mut onlooker, &first)?;
    drop(restored);
    stage.wait_until_ready()?;
    until("the edge shows the operator's own again", LIVE_WITHIN, || {
        let shown = onlooker.certificate()?;
        // Another one of the same authority, or the same.
        ensure!(!is(&shown, &first) && !is(&shown, &renewed), "it still shows the user's");
        Ok(())
    })?;
    ensure!(
        !own.is_empty() && stage.rest.get("/", "")?.status == 200,
        "who trusts the operator's authority does not get in"
    );

    ensure!(self::connection(&mut onlooker)? == connection, "a connection was closed");
    let answer = socket.emit("resume", &json!({"cursors": {}}))?;
    ensure!(answer["ok"] == true && socket.connections()? == 1, "the WebSocket was closed: {answer}");
    ensure!(pods(stage)? == edge, "pods of the edge were restarted");
    Ok(())
}

pub(super) fn a_kind_that_the_cluster_does_not_know_is_told_and_what_runs_is_not_touched(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let edge = pods(stage)?;
    let _restored = Restored(stage);
    let gateway = json!({"type": "Gateway", "nodePort": null, "parentRefs": [{"name": "nobody"}]});
    for (change, words) in [
        (json!({"tls": {"issuerRef": {"name": "nobody"}}}), "install cert-manager"),
        (json!({"exposure": gateway}), "install the Gateway API"),
    ] {
        stage.change(&json!({ "spec": change }))?;
        until(words, TOLD_WITHIN, || told(stage, "KindMissing", words))?;
        ensure!(stage.rest.get("/", "")?.status == 200, "the platform does not answer");
    }
    ensure!(pods(stage)? == edge, "pods of the edge were restarted");
    stage.change(&json!({}))?;
    stage.wait_until_ready()
}

pub(super) fn an_ingress_is_made_healed_and_pruned_and_its_controller_finds_the_edge(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let name = format!("{}-edge", stage.platform);
    let restored = Restored(stage);
    stage.change(&json!({"spec": {"exposure": {"type": "Ingress", "nodePort": null, "className": "nobodys"}}}))?;
    stage.wait_until_ready()?;
    let ingress = stage.kubectl_json(["get", "ingress", &name])?;
    let tls = &ingress["spec"]["tls"][0]["secretName"];
    ensure!(*tls == format!("{}-edge-tls", stage.platform), "it shows the certificate of {tls}");
    stage.kubectl(["delete", "ingress", &name])?;
    stage.wait_for_another("ingress", &name, &ingress["metadata"]["uid"], BACK_WITHIN)?;

    // As a controller does, which has terminated TLS. kubectl may choose a pod of before, which has no such port.
    let service = format!("service/{name}");
    let forward =
        until("a pod that takes requests of a controller", LIVE_WITHIN, || Forward::to(stage, &service, 8080))?;
    let rest = Rest::unencrypted(&format!("http://localhost:{}", forward.port));
    let from = |scheme: &str| {
        let headers =
            [("x-forwarded-proto", scheme.to_owned()), ("x-forwarded-for", "198.51.100.1, 203.0.113.9".to_owned())];
        rest.send("GET", "/api/v1/users/me", &headers, &[])
    };
    from("https")?.refused(401, "unauthenticated")?;
    let sent = from("http")?;
    ensure!(
        sent.status == 308 && sent.header("location").starts_with("https://"),
        "what came by http is answered {}",
        sent.status
    );
    until("the edge has the client's address from the controller", BACK_WITHIN, || {
        let said = stage.logs_of("edge")?;
        ensure!(said.contains("\"client\":\"203.0.113.9\""), "it does not log it");
        ensure!(!said.contains("\"client\":\"198.51.100.1\""), "it took the client's own word");
        Ok(())
    })?;
    drop(forward);

    drop(restored);
    stage.wait_until_ready()?;
    until("the Ingress is gone", BACK_WITHIN, || {
        let left = stage.kubectl(["get", "ingress", &name, "--ignore-not-found", "--output=name"])?;
        ensure!(left.is_empty(), "{left} is there");
        Ok(())
    })?;
    stage.wait_until_usable().map(drop)
}

/// cert-manager's definition is there and cert-manager is not: this plays its part.
pub(super) fn a_certificate_is_asked_of_cert_manager_and_shown_once_it_is_issued(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let edge = pods(stage)?;
    let _defined = Defined::begin(stage)?;
    let restored = Restored(stage);
    let mut onlooker = Onlooker::at(stage, port_of(stage.rest.url())?)?;
    let before = onlooker.certificate()?;
    stage.change(&json!({"spec": {"tls": {"issuerRef": {"name": "nobody"}}}}))?;
    until("the platform waits", TOLD_WITHIN, || told(stage, "CertificateNotReady", "waits for cert-manager"))?;
    ensure!(onlooker.certificate()? == before, "the edge shows another certificate meanwhile");

    let name = format!("{}-edge", stage.platform);
    let asked = stage.kubectl_json(["get", "certificate", &name])?;
    let host = asked["spec"]["dnsNames"][0].as_str().context("the Certificate is for no name")?;
    let identity = Authority::new()?.issue_for(&[host])?;
    let mut issued = secret(&identity.certificate, &identity.key);
    let secret_name = asked["spec"]["secretName"].clone();
    issued["metadata"]["name"] = secret_name.clone();
    stage.apply(&issued.to_string())?;
    shows(&mut onlooker, &identity)?;
    stage.wait_until_ready()?;

    drop(restored);
    stage.wait_until_ready()?;
    until("the Certificate is gone", BACK_WITHIN, || {
        let left = stage.kubectl(["get", "certificate", &name, "--ignore-not-found", "--output=name"])?;
        ensure!(left.is_empty(), "{left} is there");
        Ok(())
    })?;
    // As cert-manager leaves it there, so does the operator.
    stage.kubectl(["delete", "secret", secret_name.as_str().unwrap_or_default()])?;
    ensure!(pods(stage)? == edge, "pods of the edge were restarted");
    until("who trusts the operator's authority gets in", LIVE_WITHIN, || {
        let status = stage.rest.get("/", "")?.status;
        ensure!(status == 200, "answered {status}");
        Ok(())
    })
}

/// A cluster that knows cert-manager's Certificate, for as long as this lives.
struct Defined<'a> {
    stage: &'a Stage,
    definition: String,
}

impl<'a> Defined<'a> {
    fn begin(stage: &'a Stage) -> Result<Self> {
        let (module, version) = go::CERT_MANAGER;
        let file = go::directory_of(module, version)?.join("deploy/crds/cert-manager.io_certificates.yaml");
        let known = Self { stage, definition: file.display().to_string() };
        stage.cluster.kubectl(["apply", "--server-side", "--filename", &known.definition])?;
        let established = ["wait", "--for=condition=Established", "--timeout=30s", "--filename", &known.definition];
        stage.cluster.kubectl(established)?;
        Ok(known)
    }
}

impl Drop for Defined<'_> {
    fn drop(&mut self) {
        // It is in the way only of the scenario that wants a cluster without this kind.
        let _ = self.stage.cluster.kubectl(["delete", "--ignore-not-found", "--filename", &self.definition]);
    }
}

/// Waits until the edge shows a certificate.
fn shows(onlooker: &mut Onlooker, identity: &Identity) -> Result<()> {
    until("the edge shows the certificate", LIVE_WITHIN, || {
        // As often as this asks, the connection is in use and so not closed for being idle.
        connection(onlooker)?;
        ensure!(is(&onlooker.certificate()?, identity), "it shows another");
        Ok(())
    })
}

fn is(pem: &str, identity: &Identity) -> bool {
    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    bare(pem) == bare(&identity.certificate)
}

/// The connection that requests share, after one that was answered.
fn connection(onlooker: &mut Onlooker) -> Result<u64> {
    let answer = onlooker.request(&json!({"path": "/"}))?;
    ensure!(answer["status"] == 200, "answered {}", answer["status"]);
    answer["connection"].as_u64().context("no number of a connection")
}

/// Identity and restarts of the edge's pods.
fn pods(stage: &Stage) -> Result<BTreeMap<String, (Value, Value)>> {
    let look = |pod: &Value| {
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].clone();
        Ok((name_of(pod)?.to_owned(), (pod["metadata"]["uid"].clone(), restarts)))
    };
    pods_of(stage, "edge")?.iter().map(look).collect()
}

/// Whether the platform is not Ready for a reason, with words of the message.
fn told(stage: &Stage, reason: &str, words: &str) -> Result<()> {
    let platform = stage.read_platform()?;
    let conditions = platform["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").context("no condition Ready")?;
    let message = ready["message"].as_str().unwrap_or_default();
    ensure!(ready["reason"] == reason && message.contains(words), "{}: {message}", ready["reason"]);
    Ok(())
}

fn secret(certificate: &str, key: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET},
        "stringData": {"tls.crt": certificate, "tls.key": key},
    })
}

fn port_of(url: &str) -> Result<u16> {
    match url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
        Some(port) => Ok(port),
        None => bail!("{url} has no port"),
    }
}

/// Takes back what a scenario changed about the document, however it ended.
pub(super) struct Restored<'a>(pub(super) &'a Stage);

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.0.change(&json!({}));
        let _ = self.0.kubectl(["delete", "secret", SECRET, "--ignore-not-found", "--wait=false"]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_port_is_that_of_the_url() {
        assert_eq!(port_of("https://localhost:8443").unwrap(), 8443);
        assert!(port_of("https://localhost").is_err());
    }

    #[test]
    fn a_certificate_is_the_same_however_its_lines_are_broken() {
        let identity = Identity { certificate: "-----BEGIN\nMII\nB\n".into(), key: String::new() };
        assert!(is("-----BEGIN\r\nMIIB", &identity));
        assert!(!is("-----BEGIN\nMIIC", &identity));
    }
}
