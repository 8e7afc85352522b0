//! What was stored before a rule was there.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::scenarios::Stage;
use crate::scenarios::status::condition;
use crate::scenarios::wait::until;

const DEFINITION: &str = "customresourcedefinition/chatplatforms.chatplatform.dev";
/// Where the schema keeps rules.
const RULES: &str = "x-kubernetes-validations";
/// How soon the API server goes by another definition, and the operator by another document.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn a_document_from_before_a_rule_is_told_of_and_nothing_that_runs_is_touched(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let before = workloads(stage)?;
    let mut bad = stage.document();
    // One that would be carried out, beside one that must not be.
    json_patch::merge(&mut bad, &json!({"spec": {"mongodb": {"members": 2}, "web": {"replicas": 2}}}));
    let outcome = store(stage, &bad.to_string()).and_then(|()| {
        until("the status tells of the document", LIMIT, || {
            let platform = stage.read_platform()?;
            let (valid, stalled) = (condition(&platform, "SpecValid")?, condition(&platform, "Stalled")?);
            ensure!(valid["status"] == "False" && stalled["status"] == "True", "it says {valid} and {stalled}");
            let message = valid["message"].as_str().unwrap_or_default();
            ensure!(message.contains("spec.mongodb.members") && message.contains("1, 3, 5 or 7"), "it says {message}");
            let observed = &platform["status"]["observedGeneration"];
            ensure!(*observed == platform["metadata"]["generation"], "it is of generation {observed}");
            Ok(())
        })?;
        ensure!(workloads(stage)? == before, "what runs was touched");
        ensure!(stage.rest.get("/", "")?.status == 200, "the platform does not answer");
        Ok(())
    });
    let restored = stage.change(&json!({})).and_then(|()| stage.wait_until_ready());
    outcome.and(restored)
}

/// Stores a document while the definition has no rules, which it has again afterwards.
fn store(stage: &Stage, document: &str) -> Result<()> {
    let ruled = stage.cluster.kubectl_json(["get", DEFINITION])?;
    let mut free = ruled.clone();
    without_rules(&mut free["spec"]);
    replace(stage, &free)?;
    let stored =
        until("the API server has no rules", LIMIT, || stage.dry_run(document)).and_then(|()| stage.apply(document));
    replace(stage, &ruled)?;
    stored
}

fn replace(stage: &Stage, definition: &Value) -> Result<()> {
    let mut definition = definition.clone();
    // Else the second one would be refused as being of an old state.
    if let Some(metadata) = definition["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    stage.cluster.kubectl_command(["replace", "--filename", "-"]).input(definition.to_string()).execute()
}

fn without_rules(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove(RULES);
            map.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// Every workload and how often what it wants has changed.
fn workloads(stage: &Stage) -> Result<Vec<(Value, Value)>> {
    let listed = stage.kubectl_json(["get", "statefulsets,deployments", "--selector", &stage.selector()])?;
    let items = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(!items.is_empty(), "there are no workloads");
    let seen = |item: &Value| (item["metadata"]["uid"].clone(), item["metadata"]["generation"].clone());
    Ok(items.iter().map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_out_wherever_they_stand() {
        let mut schema = json!({"a": [{(RULES): [1], "b": 1}], "c": {"d": {(RULES): []}}});
        without_rules(&mut schema);
        assert_eq!(schema, json!({"a": [{"b": 1}], "c": {"d": {}}}));
    }
}
