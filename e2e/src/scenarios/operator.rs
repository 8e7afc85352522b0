//! The operator itself: killed, cut off from the API server, and of one namespace alone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::faults::{Away, OPERATOR, Paused};
use super::lifecycle::{Restored, noted, wait_for_note};
use super::neighbours::{Hollow, Namespace};
use super::people::two_in_conversation;
use super::process::Process;
use super::wait::until;
use crate::command::Run;
use crate::platform::OPERATOR_NAMESPACE;
use crate::progress::seconds;
use crate::source;

const SELECTOR: &str = "--selector=app.kubernetes.io/name=chatplatform-operator";
const STARTS_WITHIN: Duration = Duration::from_mins(1);
/// A lease of 15 s that was renewed just before, and another look at it every 2 s.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);
/// How long the API server is away, and how often somebody says something meanwhile.
const AWAY: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_secs(2);
/// How long the API server and the controllers of Kubernetes may take to be back.
const BACK_WITHIN: Duration = Duration::from_mins(2);
/// The release and the namespace of an operator that looks after its own namespace alone.
const NARROW: &str = "narrow";

pub(super) fn an_operator_killed_in_the_middle_of_a_change_is_followed_by_one_that_finishes_it(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    let _restored = Restored(stage);
    let _pair = Pair::begin(stage)?;
    let first = leader(stage)?;
    let (name, _) = first.split_once('_').context("the holder of the lease is no process of a pod")?;
    let pod = stage.cluster.kubectl_json(["get", "pod", name, "--namespace", OPERATOR_NAMESPACE])?;
    let process = Process::of(&stage.cluster, &pod, "operator")?;
    let mut change = noted("before the kill");
    change["spec"]["gateway"] = json!({"replicas": 2});
    change["spec"]["web"] = json!({"replicas": 2});
    stage.change(&change)?;
    // Services come before Deployments, so that this is the middle.
    wait_for_note(stage, &"before the kill".into())?;
    let killed = process.kill()?;
    until("another process leads", TAKEN_OVER_WITHIN, || {
        let now = leader(stage)?;
        ensure!(now != first, "it is still {now}");
        Ok(())
    })?;
    stage.note(format!("another leads after {}", seconds(killed.elapsed())));
    stage.wait_until_ready()?;
    for component in ["gateway", "web"] {
        let deployment = stage.kubectl_json(["get", "deployment", &format!("{}-{component}", stage.platform)])?;
        ensure!(deployment["status"]["readyReplicas"] == 2, "{component} has {}", deployment["status"]);
    }
    Ok(())
}

pub(super) fn an_api_server_away_for_a_minute_stops_nobody_from_chatting_and_the_operator_recovers(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let _restored = Restored(stage);
    let away = Paused::api_server(stage)?;
    let began = Instant::now();
    let mut sent = Vec::new();
    // How long it is away is what is tried here.
    while began.elapsed() < AWAY {
        sent.push(ada.send(stage, &conversation, "while nobody governs")?);
        sleep(PACE);
    }
    drop(away);
    let back = Instant::now();
    until("the API server answers", BACK_WITHIN, || stage.cluster.kubectl(["get", "--raw=/readyz"]).map(drop))?;
    stage.change(&noted("after the minute"))?;
    wait_for_note(stage, &"after the minute".into())?;
    stage.note(format!("{} messages meanwhile, a change carried out after {}", sent.len(), seconds(back.elapsed())));
    ensure!(ben.history(stage, &conversation)? == sent, "what was said meanwhile is not all there");
    // The controllers of Kubernetes end when they lose their leases as well; others need them.
    for lease in ["kube-controller-manager", "kube-scheduler"] {
        let renewed = || {
            let lease = stage.cluster.kubectl_json(["get", "lease", lease, "--namespace=kube-system"])?;
            Ok(lease["spec"]["renewTime"].clone())
        };
        let before: Result<Value> = renewed();
        let before = before?;
        until(&format!("{lease} works"), BACK_WITHIN, || {
            let now: Value = renewed()?;
            ensure!(now != before, "its lease was renewed at {now}");
            Ok(())
        })?;
    }
    stage.wait_until_usable().map(drop)
}

pub(super) fn an_operator_of_one_namespace_needs_a_role_alone_and_tells_of_a_right_it_lacks(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    // The one of all namespaces would look after that one as well.
    let away = Away::begin(stage, &OPERATOR)?;
    let namespace = Namespace::begin(stage, NARROW)?;
    install(stage)?;
    let label = format!("--selector=app.kubernetes.io/instance={NARROW}");
    let wide = stage.cluster.kubectl(["get", "clusterroles,clusterrolebindings", &label, "--output=name"])?;
    ensure!(wide.is_empty(), "it has {wide}");
    let platform = Hollow::begin(stage, "inside", NARROW)?;
    platform.wait_until_it_says("Stalled", "True", "ImagePullBackOff", &["pod inside-"])?;

    let mut role = stage.cluster.kubectl_json(["get", "role", NARROW, "--namespace", NARROW])?;
    let rules = role["rules"].as_array_mut().context("the role has no rules")?;
    rules.retain(|rule| !rule.to_string().contains("networkpolicies"));
    let patch = json!({"rules": rules}).to_string();
    let patch = ["patch", "role", NARROW, "--namespace", NARROW, "--type=merge", "--patch", &patch];
    stage.cluster.kubectl(patch)?;
    platform.change(&json!({"spec": {"web": {"replicas": 2}}}))?;
    let missing = r#"apiGroups: ["networking.k8s.io"], resources: [networkpolicies], verbs: ["#;
    platform.wait_until_it_says("Stalled", "True", "MissingRights", &[missing])?;

    drop((platform, namespace));
    away.end()?;
    leader(stage).map(drop)
}

/// The process that holds the lease.
fn leader(stage: &Stage) -> Result<String> {
    until("somebody leads", STARTS_WITHIN, || {
        let lease = ["get", "lease", "chatplatform-operator", "--namespace", OPERATOR_NAMESPACE];
        let lease = stage.cluster.kubectl_json(lease)?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
        holder.map(str::to_owned).context("nobody holds the lease")
    })
}

/// Installs the chart once more, for one namespace.
fn install(stage: &Stage) -> Result<()> {
    let chart = source::root()?.join("charts/chatplatform-operator");
    let watch = format!("watchNamespace={NARROW}");
    Run::new(&stage.cluster.engine().helm)
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .args(["upgrade", "--install", NARROW])
        .arg(chart)
        .args(["--namespace", NARROW, "--set", &watch, "--set", "crds.install=false", "--wait", "--timeout", "2m"])
        .execute()
}

/// Two operators, for as long as this lives.
struct Pair<'a>(&'a Stage);

impl<'a> Pair<'a> {
    fn begin(stage: &'a Stage) -> Result<Self> {
        let pair = Self(stage);
        pair.scale(2)?;
        until("two operators run", STARTS_WITHIN, || {
            let listed =
                stage.cluster.kubectl_json(["get", "deployments", "--namespace", OPERATOR_NAMESPACE, SELECTOR])?;
            let ready = &listed["items"][0]["status"]["readyReplicas"];
            ensure!(*ready == 2, "{ready} are ready");
            Ok(())
        })?;
        Ok(pair)
    }

    fn scale(&self, replicas: u8) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", "deployment", "--namespace", OPERATOR_NAMESPACE, SELECTOR, &replicas];
        self.0.cluster.kubectl_command(scale).shielded().execute()
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        // One too many is in nobody's way.
        let _ = self.scale(1);
    }
}
