//! The platform of `examples/production.yaml`, three of each, small enough for this machine.
//!
//! It takes the place of the minimal one, which is quicker than running beside it: both want the same port, and two cores.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Stage;
use super::site::Site;
use crate::platform;
use crate::progress::seconds;

const EXAMPLE: &str = "examples/production.yaml";
/// A class whose volumes may grow, which the cluster's own does not allow.
pub(super) const GROWING: &str = "growing";
/// How long a platform may take to be as it should after the scenario before, until it is made anew.
const RECOVERS_WITHIN: Duration = Duration::from_mins(2);

pub(super) fn three_of_each_become_ready(stage: &Stage) -> Result<()> {
    on_stage(stage)?;
    let took = stage.next_ready_after.get().context("it was not timed")?;
    // How soon is a matter of the machine, and measured by `cargo e2e bench data`.
    stage.note(format!("ready after {}", seconds(took)));
    Ok(())
}

/// Has the production platform on stage, Ready and as its document says, whatever the scenario before has left.
pub(super) fn on_stage(stage: &Stage) -> Result<()> {
    if stage.next_failed.get() {
        // Each of the scenarios that want it would wait for minutes.
        bail!("{EXAMPLE} has not become Ready before");
    }
    if stage.next_ready_after.get().is_some() && stage.is_taken()? {
        let restored = stage.change(&json!({})).and_then(|()| stage.wait_until_ready_within(RECOVERS_WITHIN));
        match restored {
            Ok(()) => return Ok(()),
            Err(why) => stage.note(format!("made anew, since after the scenario before: {why:#}")),
        }
    }
    stage.next_failed.set(true);
    prepare(stage)?;
    stage.replace_platform(document(stage)?)?;
    stage.next_failed.set(false);
    Ok(())
}

/// Makes what its document refers to.
pub(crate) fn prepare(site: &Site) -> Result<()> {
    let class = growing_class(&site.cluster.kubectl_json(["get", "storageclasses"])?)?;
    site.cluster.apply(&class.to_string()).map(drop)
}

/// The document of the platform, as small as this machine wants it.
pub(crate) fn document(site: &Site) -> Result<Value> {
    let mut document = platform::document(EXAMPLE, &platform::exposed_on_this_machine())?;
    document["metadata"]["name"] = site.platform.as_str().into();
    document["metadata"]["namespace"] = site.namespace.as_str().into();
    cut_down(&mut document["spec"]);
    Ok(document)
}

/// Makes every request small, so that all pods find room, and puts volumes in a class that may grow. What a pod may use at most,
/// and so what its server makes of it, stays.
fn cut_down(value: &mut Value) {
    let Some(fields) = value.as_object_mut() else { return };
    for (name, field) in fields {
        match name.as_str() {
            "resources" => field["requests"] = json!({"cpu": "10m", "memory": "32Mi"}),
            "storage" => field["className"] = GROWING.into(),
            _ => cut_down(field),
        }
    }
}

/// The cluster's default class, but for one thing.
fn growing_class(listed: &Value) -> Result<Value> {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    let classes = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    let default = classes.iter().find(|class| class["metadata"]["annotations"][DEFAULT] == "true");
    let default = default.context("the cluster has no default StorageClass")?;
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": GROWING},
        "allowVolumeExpansion": true,
    });
    for field in ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode", "mountOptions"] {
        if !default[field].is_null() {
            class[field] = default[field].clone();
        }
    }
    Ok(class)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_are_cut_down_and_limits_are_not() {
        let mut spec = json!({
            "host": "chat.example.com",
            "mongodb": {
                "members": 3,
                "storage": {"size": "50Gi"},
                "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
            },
            "objectStorage": {"managed": {"storage": {"size": "500Gi", "className": "fast"}}},
        });
        cut_down(&mut spec);
        assert_eq!(
            spec["mongodb"]["resources"],
            json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "4Gi"}})
        );
        assert_eq!(spec["mongodb"]["storage"], json!({"size": "50Gi", "className": GROWING}));
        assert_eq!(spec["objectStorage"]["managed"]["storage"]["className"], GROWING);
        assert_eq!(spec["mongodb"]["members"], 3);
    }

    #[test]
    fn the_class_that_may_grow_is_made_from_the_default_one() {
        let listed = json!({"items": [
            {"metadata": {"name": "other"}, "provisioner": "other"},
            {
                "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "rancher.io/local-path",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        ]});
        let class = growing_class(&listed).unwrap();
        assert_eq!(class["provisioner"], "rancher.io/local-path");
        assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
        assert_eq!(class["allowVolumeExpansion"], true);
        assert!(class.get("parameters").is_none());
        assert!(growing_class(&json!({"items": []})).is_err());
    }
}
