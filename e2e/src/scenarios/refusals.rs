//! What is refused at the door, with a message that helps.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use super::Stage;
use crate::source;

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
