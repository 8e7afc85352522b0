//! What holds for all servers that keep data: they grow, their volumes grow, and nodes can be emptied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::faults::{name_of, pods_of};
use super::load::{Crowd, under_load};
use super::wait::until;
use super::{Stage, production};

/// Components with a volume for each pod.
const COMPONENTS: [&str; 4] = ["mongodb", "redis", "rabbitmq", "object-storage"];
/// How long it may take until a refusal is told, or volumes have been asked to grow.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn one_of_each_grows_to_three_of_each_under_continuous_writes(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let ((), written) = under_load(stage, &Crowd::apart(), |load| {
        load.wait_for_more(20)?;
        stage.change_for_good(&json!({"spec": {
            "mongodb": {"members": 3},
            "redis": {"replicas": 3},
            "rabbitmq": {"replicas": 3},
        }}))?;
        stage.wait_until_ready()?;
        load.wait_for_more(20)
    })?;
    for component in ["mongodb", "redis", "rabbitmq"] {
        let pods = pods_of(stage, component)?.len();
        ensure!(pods == 3, "{component} has {pods} pods");
    }
    stage.note(written.note());
    stage.wait_until_usable().map(drop)
}

pub(super) fn what_cannot_shrink_is_refused_and_the_field_named(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let refusals = [
        (json!({"mongodb": {"storage": {"size": "1Gi"}}}), "spec.mongodb.storage", "shrink"),
        (
            json!({"objectStorage": {"managed": {"storage": {"size": "1Gi"}}}}),
            "spec.objectStorage.managed.storage",
            "shrink",
        ),
        (json!({"redis": {"replicas": 1}}), "spec.redis.replicas", "shrink"),
        (json!({"rabbitmq": {"replicas": 1}}), "spec.rabbitmq.replicas", "shrink"),
        (json!({"redis": {"replicas": null}}), "spec.redis.replicas", "shrink"),
        (json!({"rabbitmq": null}), "spec.rabbitmq.replicas", "shrink"),
        (json!({"redis": {"storage": {"className": "another"}}}), "spec.redis.storage", "className"),
    ];
    for (change, field, word) in refusals {
        let patch = json!({"spec": change}).to_string();
        let patched = stage.kubectl([
            "patch",
            "chatplatform",
            &stage.platform,
            "--type=merge",
            "--dry-run=server",
            "--patch",
            &patch,
        ]);
        let Err(refusal) = patched else { bail!("{patch} was accepted") };
        let message = format!("{refusal:#}");
        ensure!(
            message.contains(field) && message.contains(word),
            "the refusal does not say {field} and {word}: {message}"
        );
    }
    Ok(())
}

pub(super) fn a_volume_that_its_class_does_not_let_grow_is_told_of_and_nothing_restarts(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let before = pods(stage)?;
    stage.change_for_good(&json!({"spec": {"redis": {"storage": {"size": "600Mi"}}}}))?;
    until("the status tells why the volume does not grow", LIMIT, || {
        let platform = stage.read_platform()?;
        let conditions = platform["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions.iter().any(|condition| {
            let message = condition["message"].as_str().unwrap_or_default().to_lowercase();
            message.contains("redis") && (message.contains("storageclass") || message.contains("resize"))
        });
        ensure!(told, "it says {conditions:?}");
        Ok(())
    })?;
    ensure!(pods(stage)? == before, "pods were restarted");
    Ok(())
}

pub(super) fn volumes_grow_where_their_class_allows_it_and_nothing_restarts(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (pods_before, sets_before) = (pods(stage)?, sets(stage)?);
    let size = json!({"size": "1Ti"});
    stage.change_for_good(&json!({"spec": {
        "mongodb": {"storage": size},
        "redis": {"storage": size},
        "rabbitmq": {"storage": size},
        "objectStorage": {"managed": {"storage": size}},
    }}))?;
    // The class of a local cluster takes the wish and never fulfils it, so that the wish is what can be looked at.
    until("every claim asks for more", LIMIT, || {
        for component in COMPONENTS {
            let claims = stage.of_component("persistentvolumeclaims", component)?;
            ensure!(!claims.is_empty(), "{component} has no claims");
            for claim in claims {
                let asked = &claim["spec"]["resources"]["requests"]["storage"];
                ensure!(asked == "1Ti", "{} asks for {asked}", claim["metadata"]["name"]);
            }
        }
        Ok(())
    })?;
    until("every set is one that makes such claims", LIMIT, || {
        let sets = sets(stage)?;
        for component in COMPONENTS {
            let name = format!("{}-{component}", stage.platform);
            let (uid, size) = sets.get(&name).with_context(|| format!("there is no {name}"))?;
            ensure!(size == "1Ti", "{name} makes claims of {size}");
            ensure!(
                sets_before.get(&name).is_some_and(|(before, _)| before != uid),
                "{name} was changed, which cannot be"
            );
        }
        Ok(())
    })?;
    // A set that adopts its pods knows at once which of them it would replace.
    until("every set has adopted its pods", LIMIT, || {
        let there: BTreeSet<String> = sets(stage)?.into_values().map(|(uid, _)| uid).collect();
        for component in COMPONENTS {
            for pod in pods_of(stage, component)? {
                let owner = pod["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
                ensure!(there.contains(owner), "{} belongs to no set that is there", name_of(&pod)?);
            }
        }
        Ok(())
    })?;
    ensure!(pods(stage)? == pods_before, "pods were restarted");
    Ok(())
}

pub(super) fn every_component_of_several_pods_has_a_disruption_budget(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let budgets = stage.kubectl_json(["get", "poddisruptionbudgets"])?;
    let budgets = budgets["items"].as_array().cloned().unwrap_or_default();
    let workloads =
        stage.kubectl_json(["get", "statefulsets,deployments", "--selector=app.kubernetes.io/part-of=chatplatform"])?;
    let workloads = workloads["items"].as_array().cloned().unwrap_or_default();
    let several: Vec<&Value> =
        workloads.iter().filter(|workload| workload["spec"]["replicas"].as_i64() > Some(1)).collect();
    ensure!(several.len() >= 10, "only {} components have several pods", several.len());
    for workload in several {
        let name = name_of(workload)?;
        let labels = &workload["spec"]["selector"]["matchLabels"];
        let budget = budgets.iter().find(|budget| budget["spec"]["selector"]["matchLabels"] == *labels);
        let budget = budget.with_context(|| format!("{name} has no budget"))?;
        // With none of its pods away, one may go; two at a time may not.
        until("the budget is counted", LIMIT, || {
            let budget = stage.kubectl_json(["get", "poddisruptionbudget", name_of(budget)?])?;
            ensure!(
                budget["status"]["disruptionsAllowed"] == 1,
                "the budget of {name} allows {}",
                budget["status"]["disruptionsAllowed"]
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// The identity of every pod of the servers, and how often its containers have restarted.
fn pods(stage: &Stage) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut found = BTreeMap::new();
    for component in COMPONENTS {
        for pod in pods_of(stage, component)? {
            let containers = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
            let restarts = containers.iter().map(|container| container["restartCount"].clone());
            let identity = std::iter::once(pod["metadata"]["uid"].clone()).chain(restarts).collect();
            found.insert(name_of(&pod)?.to_owned(), identity);
        }
    }
    Ok(found)
}

/// Identity and size of claims of every `StatefulSet`.
fn sets(stage: &Stage) -> Result<BTreeMap<String, (String, String)>> {
    let label = format!("--selector=app.kubernetes.io/instance={}", stage.platform);
    let listed = stage.kubectl_json(["get", "statefulsets", &label])?;
    listed["items"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .map(|set| {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let size = &set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
            Ok((name_of(set)?.to_owned(), (word(&set["metadata"]["uid"]), word(size))))
        })
        .collect()
}
