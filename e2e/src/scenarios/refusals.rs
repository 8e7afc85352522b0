//! What is refused at the door, with a message that helps.

mod stored;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Stage;
use super::api_server::Platforms;
use crate::platform;
use crate::source;

pub(super) use stored::a_document_from_before_a_rule_is_told_of_and_nothing_that_runs_is_touched;

/// The table of bad documents, which the operator's own tests read too.
const TABLE: &str = "operator/tests/refusals";
/// Where documents are that others are to follow. They are paused, so that nothing is made of them.
const NAMESPACE: &str = "refusals";

/// A document that is refused.
#[derive(Debug, Deserialize)]
struct Case {
    /// What is wrong with it.
    name: String,
    /// The document before, laid over the minimal one; none for one that is new.
    before: Option<Value>,
    /// What makes it bad, laid over that.
    bad: Value,
    /// The field that the message must name.
    field: String,
    /// What else the message must say.
    #[serde(default)]
    words: Vec<String>,
    /// Whether the operator alone can see it.
    #[serde(default)]
    operator: bool,
}

pub(super) fn a_wrong_enum_value_is_refused_and_the_field_named(stage: &Stage) -> Result<()> {
    refused(stage, "exposure: {type: Nodeport}", &["spec.exposure.type", "NodePort"])
}

pub(super) fn a_misspelt_field_is_refused_and_named(stage: &Stage) -> Result<()> {
    refused(stage, "mongdb: {members: 1}", &["spec.mongdb"])
}

pub(super) fn an_even_number_of_mongodb_members_is_refused_and_the_field_named(stage: &Stage) -> Result<()> {
    refused(stage, "mongodb: {members: 2}", &["spec.mongodb.members", "1, 3, 5 or 7"])
}

pub(super) fn every_example_is_accepted(stage: &Stage) -> Result<()> {
    let folder = source::root()?.join("examples");
    let mut count = 0;
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let run = stage.cluster.kubectl_command(["apply", "--dry-run=server", "--filename"]).arg(&file);
            run.execute().with_context(|| format!("{} is refused", file.display()))?;
            count += 1;
        }
    }
    ensure!(count > 0, "there is no example in {}", folder.display());
    Ok(())
}

pub(super) fn every_bad_document_is_refused_by_the_api_server_and_the_field_named(stage: &Stage) -> Result<()> {
    let cases: Vec<Case> = cases()?.into_iter().filter(|case| !case.operator).collect();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    stage.cluster.apply(&namespace.to_string())?;
    let wrong = all_wrong(&Platforms::of(&stage.cluster, NAMESPACE)?, &cases);
    let removed = stage.cluster.kubectl(["delete", "namespace", NAMESPACE, "--timeout=60s"]);
    let wrong = wrong?;
    ensure!(wrong.is_empty(), "{} of {} are not:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    stage.note(format!("{} documents refused", cases.len()));
    removed.map(drop)
}

/// Every case that is accepted, or refused in words that do not help.
fn all_wrong(platforms: &Platforms, cases: &[Case]) -> Result<Vec<String>> {
    let mut before = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases {
        let refusal = match &case.before {
            None => platforms.refusal(&platform::document("examples/minimal.yaml", &case.bad)?)?,
            Some(overlay) => {
                let next = format!("before-{}", before.len());
                let name = match before.entry(overlay.to_string()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => {
                        keep(platforms, overlay, &next).with_context(|| format!("before: {}", case.name))?;
                        free.insert(next)
                    }
                };
                platforms.refusal_of_change(name, &case.bad)?
            }
        };
        wrong.extend(case.complaint(refusal.as_deref()).map(|complaint| format!("{}: {complaint}", case.name)));
    }
    Ok(wrong)
}

/// Makes a document that another is to follow.
fn keep(platforms: &Platforms, overlay: &Value, name: &str) -> Result<()> {
    let mut document = platform::document("examples/minimal.yaml", overlay)?;
    document["metadata"]["name"] = name.into();
    document["spec"]["paused"] = true.into();
    platforms.create(&document)
}

impl Case {
    /// What a refusal lacks.
    fn complaint(&self, refusal: Option<&str>) -> Option<String> {
        let Some(message) = refusal else { return Some("it is accepted".to_owned()) };
        let expected = std::iter::once(&self.field).chain(&self.words);
        let missing: Vec<&String> = expected.filter(|part| !message.contains(part.as_str())).collect();
        (!missing.is_empty()).then(|| format!("the message does not say {missing:?}: {message}"))
    }
}

fn cases() -> Result<Vec<Case>> {
    let folder = source::root()?.join(TABLE);
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let theme: Vec<Case> = serde_yaml::from_str(&fs::read_to_string(&file)?)
                .with_context(|| format!("{} is no list of cases", file.display()))?;
            cases.extend(theme);
        }
    }
    ensure!(!cases.is_empty(), "there is no case in {}", folder.display());
    Ok(cases)
}

fn refused(stage: &Stage, faulty: &str, expected: &[&str]) -> Result<()> {
    let manifest = format!(
        "apiVersion: chatplatform.dev/v1alpha1\nkind: ChatPlatform\nmetadata: {{name: faulty}}\n\
         spec:\n  host: chat.example.com\n  {faulty}\n"
    );
    let Err(error) = stage.apply(&manifest) else { bail!("`{faulty}` was accepted") };
    let message = format!("{error:#}");
    for part in expected {
        ensure!(message.contains(part), "the message does not say {part:?}: {message}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        assert!(cases().unwrap().iter().filter(|case| !case.operator).count() >= 70);
    }

    #[test]
    fn a_refusal_that_lacks_the_field_or_a_word_is_told_with_its_message() {
        let case: Case =
            serde_json::from_value(json!({"name": "n", "bad": {}, "field": "spec.host", "words": ["cure"]})).unwrap();
        assert_eq!(case.complaint(Some("spec.host: a cure")), None);
        assert_eq!(case.complaint(None).unwrap(), "it is accepted");
        assert!(case.complaint(Some("spec.host is wrong")).unwrap().contains("[\"cure\"]: spec.host is wrong"));
    }
}
