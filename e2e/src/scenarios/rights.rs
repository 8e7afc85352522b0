//! What the operator may do: each right that its chart gives is needed, and no other is.
//!
//! The operator starts with no right at all on a platform that is there, and is given a right only once the API server has refused it for
//! want of that very one, while everything happens that an operator has to do with. What it has been given in the end is what its rules
//! must be: a right that was never asked for is one too many, and one that it asks for and the chart does not give is one too few.

mod roles;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::faults::{Away, OPERATOR};
use super::{Stage, upgrade};
use crate::images::VERSION;
use roles::{NAME, Right, Rights, system};

/// What the document says besides, so that every kind of object is made.
fn with_every_kind() -> Value {
    json!({"spec": {
        "version": VERSION,
        "web": {"replicas": 2},
        "media": {"autoscaling": {"maxReplicas": 2}},
        "exposure": {"type": "Ingress", "nodePort": null},
        "backup": {
            // The 31st of February.
            "schedule": "0 0 31 2 *",
            "objectStorage": {
                "endpoint": "https://backups.example.com",
                "bucket": "backups",
                "credentialsSecretRef": {"name": ACCOUNT},
            },
        },
    }})
}

/// The Secret that it names.
const ACCOUNT: &str = "rights-backup-account";

/// An object of every kind that a platform always has, to be made anew; whatever they make stays.
const DELETED: [(&str, &str); 6] = [
    ("secret", "edge-tls"),
    ("configmap", "web"),
    ("service", "notification"),
    ("networkpolicy", "default-deny"),
    ("statefulset", "redis"),
    ("deployment", "notification"),
];

pub(super) fn an_operator_that_begins_without_rights_asks_for_exactly_those_that_its_chart_gives(
    stage: &Stage,
) -> Result<()> {
    // An upgrade is among all that happens.
    upgrade::on_stage(stage)?;
    let away = Away::begin(stage, &OPERATOR)?;
    let mut rights = Rights::withdraw(stage)?;
    system(stage, &["delete", "lease", NAME, "--ignore-not-found"])?;
    away.end()?;
    let outcome = everything_happens(stage, &mut rights);
    let asked = rights.granted.len();
    drop(rights);
    // As it was, whatever came of it.
    remove(stage, &["persistentvolumeclaim/data-{}-redis-7", "persistentvolumeclaim/data-{}-mongodb-7"])?;
    stage.change(&json!({}))?;
    remove(stage, &[&format!("secret/{ACCOUNT}")])?;
    stage.wait_until_usable()?;
    outcome?;
    stage.note(format!("{asked} rights"));
    Ok(())
}

/// Has the operator do all that it ever does.
fn everything_happens(stage: &Stage, rights: &mut Rights<'_>) -> Result<()> {
    // Ingresses and CronJobs are looked at only once they are asked for, and events once a pod is missing.
    let later = |right: &Right| matches!(right.resource.as_str(), "ingresses" | "cronjobs" | "events");
    let watching = |right: &Right| {
        (matches!(right.verb.as_str(), "list" | "watch") && !later(right)) || right.resource == "leases"
    };
    rights.grant_until_asked_for(watching).context("while it starts")?;
    rights
        .grant_until(|| stage.wait_until_ready_within(Duration::ZERO))
        .context("while it finds the platform as it is")?;

    // A volume that is smaller than it should be. That the class does not let it grow is no matter.
    claim(stage, "redis", "1Mi")?;
    rights.grant_until_asked_for(|right| right.is("persistentvolumeclaims", "patch")).context("to enlarge a volume")?;
    remove(stage, &["persistentvolumeclaim/data-{}-redis-7"])?;

    let account = json!({"accessKeyId": "an-id", "secretAccessKey": "a-key"});
    let account = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": ACCOUNT}, "stringData": account});
    stage.apply(&account.to_string())?;
    stage.change(&with_every_kind())?;
    for (kind, name) in DELETED {
        let name = format!("{}-{name}", stage.platform);
        stage.kubectl(["delete", kind, &name, "--cascade=orphan", "--wait=false"])?;
    }
    stage.apply(&left_over(stage).to_string())?;
    // Of a member that is no more, and too large to be enlarged.
    claim(stage, "mongodb", "1Ti")?;
    // A pod of an older form.
    let pod = format!("{}-mongodb-0", stage.platform);
    stage.kubectl(["label", "pod", &pod, "controller-revision-hash=older", "--overwrite"])?;
    rights.grant_until_asked_for(|right| !right.is("events", "patch")).context("after all that")?;

    // The same event again.
    for _ in 0..2 {
        stage.change(&json!({"spec": {"paused": true}}))?;
        stage.wait_until_observed()?;
        stage.change(&json!({}))?;
        stage.wait_until_observed()?;
    }
    rights.grant_until_asked_for(|_| true).context("after two pauses")
}

/// An object of every kind that is the platform's by its labels and not wanted by it.
fn left_over(stage: &Stage) -> Value {
    let labels = labels(stage, "web");
    let selector = json!({"matchLabels": {"example.com/is": "nobody"}});
    let pods = json!({
        "metadata": {"labels": selector["matchLabels"]},
        "spec": {"containers": [{"name": "none", "image": "none"}]},
    });
    let object = |version: &str, kind: &str, rest: Value| {
        let mut object = json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": format!("{}-left-over", stage.platform), "labels": labels},
        });
        json_patch::merge(&mut object, &rest);
        object
    };
    let workload = json!({"spec": {"replicas": 0, "selector": selector, "template": pods}});
    let mut errand = pods.clone();
    errand["spec"]["restartPolicy"] = "Never".into();
    let seldom = json!({"schedule": "0 0 31 2 *", "suspend": true, "jobTemplate": {"spec": {"template": errand}}});
    let mut set = workload.clone();
    set["spec"]["serviceName"] = "none".into();
    let nowhere = json!({"service": {"name": "nowhere", "port": {"number": 80}}});
    let nobody = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        object("v1", "ConfigMap", json!({})),
        object("v1", "Secret", json!({})),
        object("v1", "Service", json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}]}})),
        object("batch/v1", "Job", json!({"spec": {"suspend": true, "template": errand}})),
        object("batch/v1", "CronJob", json!({"spec": seldom})),
        object("apps/v1", "Deployment", workload),
        object("apps/v1", "StatefulSet", set),
        object("policy/v1", "PodDisruptionBudget", json!({"spec": {"maxUnavailable": 1, "selector": selector}})),
        object("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"podSelector": selector}})),
        object("networking.k8s.io/v1", "Ingress", json!({"spec": {"defaultBackend": nowhere}})),
        object("autoscaling/v2", "HorizontalPodAutoscaler", json!({"spec": {"maxReplicas": 2, "scaleTargetRef": nobody}})),
    ]})
}

/// Makes the volume claim of a pod that there is none of.
fn claim(stage: &Stage, component: &str, size: &str) -> Result<()> {
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": format!("data-{}-{component}-7", stage.platform), "labels": labels(stage, component)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    });
    stage.apply(&claim.to_string())
}

/// Removes objects, if they are there; `{}` stands for the platform's name.
fn remove(stage: &Stage, objects: &[&str]) -> Result<()> {
    for object in objects {
        stage.kubectl(["delete", &object.replace("{}", &stage.platform), "--ignore-not-found"])?;
    }
    Ok(())
}

fn labels(stage: &Stage, component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/instance": stage.platform,
        "app.kubernetes.io/managed-by": NAME,
    })
}
