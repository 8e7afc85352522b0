//! Who reaches whom. It takes a network that enforces network policies: kind's own does, that of `e2e/offline` is given a program for it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::faults::pods_of;
use super::wait::until;
use super::{Stage, accounts, identity, media, messages, notifications, on_demand};
use crate::offline::images::KUBE_ROUTER;
use crate::source;

/// The namespace of what enforces network policies.
const ENFORCER: &str = "kube-router";
/// A pod that has nothing to do with the platform.
const NAME: &str = "stranger";
/// What everybody reaches.
const EDGE: (&str, u16) = ("edge", 8443);
/// What nobody reaches but the platform and its operator.
const CLOSED: [(&str, u16); 10] = [
    ("mongodb", 27017),
    ("redis", 6379),
    ("rabbitmq", 5672),
    ("rabbitmq", 15672),
    ("object-storage", 7070),
    ("gateway", 8080),
    ("auth", 8080),
    ("chat", 8080),
    ("media", 8080),
    ("notification", 8080),
];
const STARTS_WITHIN: Duration = Duration::from_mins(1);
/// A network learns of a new pod a moment after it runs.
const REACHES_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn a_pod_that_is_not_of_the_platform_reaches_no_server(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let _enforced = Enforced::begin(stage)?;
    let _gone = Gone(stage);
    let redis = &pods_of(stage, "redis")?[0];
    stage.apply(&stranger(&redis["spec"]["containers"][0]["image"]).to_string())?;
    let limit = format!("--timeout={}s", STARTS_WITHIN.as_secs());
    stage.kubectl(["wait", "--for=condition=Ready", &format!("pod/{NAME}"), &limit])?;
    // Else it would be nothing special that it reaches nobody.
    until("a stranger reaches the edge", REACHES_WITHIN, || {
        ensure!(reaches(stage, EDGE)?, "it does not");
        Ok(())
    })?;
    let mut reached = Vec::new();
    for target in CLOSED {
        if reaches(stage, target)? {
            reached.push(format!("{} at {}", target.0, target.1));
        }
    }
    if reached.len() == CLOSED.len() {
        bail!("a stranger reaches everything: this cluster's network enforces no network policies");
    }
    ensure!(reached.is_empty(), "a stranger reaches {}", reached.join(", "));
    stage.wait_until_ready()
}

/// What connects while the platform starts is more than what a running one needs.
pub(super) fn a_platform_all_of_whose_pods_start_anew_under_enforced_policies_serves_people(
    stage: &Stage,
) -> Result<()> {
    stage.wait_until_ready()?;
    let _enforced = Enforced::begin(stage)?;
    let ours = format!("--selector=app.kubernetes.io/instance={}", stage.platform);
    stage.kubectl(["delete", "pods", &ours])?;
    stage.wait_until_usable()?;
    accounts::two_people_register_and_log_in(stage)?;
    identity::one_link_verifies_an_address_and_another_lets_choose_a_new_password(stage)?;
    messages::three_hundred_messages_emitted_without_waiting_arrive_complete_and_in_order(stage)?;
    media::a_file_comes_back_byte_for_byte_and_by_range(stage)?;
    notifications::who_was_away_finds_a_notification_and_an_e_mail(stage)?;
    stage.wait_until_ready()
}

/// A network that enforces network policies, for as long as this lives.
struct Enforced<'a> {
    stage: &'a Stage,
    /// What was added for it.
    manifest: Option<String>,
}

impl<'a> Enforced<'a> {
    fn begin(stage: &'a Stage) -> Result<Self> {
        let cluster = &stage.cluster;
        if cluster.engine().offline.is_none() {
            return Ok(Self { stage, manifest: None });
        }
        on_demand::put_image(cluster, KUBE_ROUTER)?;
        let manifest = fs::read_to_string(source::root()?.join("e2e/manifests/kube-router.yaml"))?;
        cluster.apply(&manifest)?;
        let enforced = Self { stage, manifest: Some(manifest) };
        let rolled_out = ["rollout", "status", "daemonset/kube-router", "--namespace", ENFORCER, "--timeout=120s"];
        cluster.kubectl(rolled_out)?;
        Ok(enforced)
    }

    /// What it wrote into the nodes stays when its pods go.
    fn clean(&self) -> Result<()> {
        let cluster = &self.stage.cluster;
        let pods = cluster.kubectl(["get", "pods", "--namespace", ENFORCER, "--output=name"])?;
        for pod in pods.lines() {
            let clean = ["exec", "--namespace", ENFORCER, pod, "--", "kube-router", "--cleanup-config"];
            cluster.kubectl(clean)?;
        }
        Ok(())
    }
}

impl Drop for Enforced<'_> {
    fn drop(&mut self) {
        let Some(manifest) = &self.manifest else { return };
        if let Err(error) = self.clean() {
            // Pods that come later may then be closed to everybody.
            self.stage.note(format!("rules of network policies are left in the nodes: {error:#}"));
        }
        let delete = ["delete", "--ignore-not-found", "--filename", "-"];
        let _ = self.stage.cluster.kubectl_command(delete).input(manifest).execute();
    }
}

/// Whether the stranger can open a connection to a pod of a component.
fn reaches(stage: &Stage, (component, port): (&str, u16)) -> Result<bool> {
    let pod = &pods_of(stage, component)?[0];
    let address = pod["status"]["podIP"].as_str().with_context(|| format!("{component} has no address"))?;
    let script =
        format!("if timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null; then echo yes; else echo no; fi");
    match stage.exec(NAME, NAME, &["bash", "-c", &script])?.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        said => bail!("the stranger says {said:?}"),
    }
}

/// A pod with a shell, of an image that the nodes have.
fn stranger(image: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": NAME,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "infinity"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Takes the stranger away when dropped, however the scenario ended.
struct Gone<'a>(&'a Stage);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // It is in nobody's way.
        let _ = self.0.kubectl(["delete", "pod", NAME, "--ignore-not-found", "--wait=false"]);
    }
}
