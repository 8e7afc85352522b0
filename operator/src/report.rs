//! The report step: what people and machines read of a platform. The status is a pure function of what was found; it is written, and
//! events are sent, only when it has changed.

mod backup;
mod certificate;
mod components;
mod conditions;
mod entrance;
mod rotation;
mod trouble;
mod upgrade;

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource as _, ResourceExt as _};

pub use conditions::{CONDITIONS, Verdict};

use crate::FIELD_MANAGER;
use crate::api::{ChatPlatform, ChatPlatformStatus, Condition};
use crate::apply::Repair;
use crate::build::{Applied, Component, Resources, labels};
use crate::observe::Observed;
use crate::proven::Provisioned;
use crate::reason::Reason;
use crate::refusal;
use crate::validate::Platform;

/// How a run of the pipeline ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// Its owner wants it left alone.
    Paused,
    /// The document, or something it refers to, cannot be used; what runs was not touched.
    Invalid {
        /// The word for machines.
        reason: Reason,
        /// All that is wrong.
        message: &'a str,
    },
    /// The document was stored under another definition, and the types of this operator cannot hold it.
    Unreadable {
        /// What is wrong with it.
        message: &'a str,
    },
    /// A step failed and is tried again.
    Failed {
        /// The word for machines.
        reason: Reason,
        /// What failed.
        message: &'a str,
        /// Whether only somebody's action can help.
        is_final: bool,
    },
    /// All steps were taken.
    Done(&'a Found<'a>),
}

/// What there is after all steps were taken.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// What was wanted.
    pub platform: &'a Platform,
    /// What the API server has.
    pub applied: &'a Resources<Applied>,
    /// What was there before, pods above all.
    pub observed: &'a Observed,
    /// What the servers said.
    pub provisioned: &'a Provisioned,
    /// What a restart of the replica set's members, one after the other, is doing or waits for.
    pub roll: Option<String>,
}

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the status: {}", refusal::words(.0))]
pub struct Error(#[from] Box<kube::Error>);

impl Error {
    /// The word for the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        Reason::ReportFailed
    }
}

/// The status of a platform whose status was `before`.
#[must_use]
pub fn status(
    document: &ChatPlatform,
    before: Option<&ChatPlatformStatus>,
    outcome: Outcome<'_>,
    now: Timestamp,
) -> ChatPlatformStatus {
    let before = before.cloned().unwrap_or_default();
    let generation = document.meta().generation;
    let rows = match outcome {
        Outcome::Done(found) => components::rows(found),
        // What runs was not looked at.
        Outcome::Paused | Outcome::Invalid { .. } | Outcome::Unreadable { .. } | Outcome::Failed { .. } => Vec::new(),
    };
    let backup = match outcome {
        Outcome::Done(found) => backup::status(found, before.backup.as_ref()),
        _ => before.backup.clone(),
    };
    let verdicts = conditions::verdicts(outcome, &rows, backup.as_ref(), &before.conditions, now);
    ChatPlatformStatus {
        phase: Some(conditions::phase(outcome, &verdicts, &before, generation).to_owned()),
        ready: match outcome {
            Outcome::Done(_) => Some(format!("{}/{}", rows.iter().filter(|row| row.is_ready).count(), rows.len())),
            _ => before.ready,
        },
        version: match outcome {
            // What serves is the new release only once all of it does.
            Outcome::Done(found) if conditions::is_true(&verdicts, "Ready") => Some(found.platform.version.clone()),
            _ => before.version,
        },
        url: match outcome {
            Outcome::Done(found) => Some(format!("https://{}", found.platform.host)),
            _ => before.url,
        },
        observed_generation: generation,
        conditions: verdicts
            .into_iter()
            .map(|verdict| verdict.into_condition(&before.conditions, generation, now))
            .collect(),
        chat_replicas: match outcome {
            Outcome::Done(found) => Some(components::pods_there(found, Component::Chat)),
            _ => before.chat_replicas,
        },
        selector: match outcome {
            Outcome::Done(found) => Some(labels::text(&labels::own_pods(found.platform, Component::Chat))),
            _ => before.selector,
        },
        components: match outcome {
            Outcome::Done(_) => rows.into_iter().map(|row| row.status).collect(),
            _ => before.components,
        },
        secrets: match outcome {
            Outcome::Done(found) => rotation::rows(found.platform),
            _ => before.secrets,
        },
        backup,
    }
}

/// Writes a status that differs from the one before, and tells of what changed.
pub async fn report(
    client: &Client,
    recorder: &Recorder,
    object: &impl kube::Resource<DynamicType = ()>,
    before: Option<&ChatPlatformStatus>,
    status: &ChatPlatformStatus,
) -> Result<(), Error> {
    if before == Some(status) {
        return Ok(());
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let resource = ApiResource::erase::<ChatPlatform>(&());
    let patch = serde_json::json!({"apiVersion": resource.api_version, "kind": resource.kind, "status": status});
    // By the dynamic type, so that a document that cannot be read can be told so.
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
        Ok(_) => {}
        // Deleted in the meantime: nobody reads it any more. (Apply would make a new one, which the API server refuses on a subresource.)
        Err(kube::Error::Api(error)) if error.code == 404 => return Ok(()),
        Err(error) => return Err(Error(Box::new(error))),
    }
    let reference = object.object_ref(&());
    for condition in changed(before, status) {
        tell(recorder, &reference, event(condition)).await;
    }
    Ok(())
}

/// Tells of what somebody had changed or deleted and is as it was again.
pub async fn repairs(recorder: &Recorder, document: &ChatPlatform, repairs: &[Repair]) {
    for Repair { kind, name, why } in repairs {
        let event = Event {
            type_: EventType::Normal,
            reason: Reason::Repaired.to_string(),
            note: Some(format!("put back {kind} {name}, {why}")),
            // Each object's repairs are counted apart.
            action: format!("Apply-{kind}-{name}"),
            secondary: None,
        };
        tell(recorder, &document.object_ref(&()), event).await;
    }
}

/// Tells that the status cannot be written because the operator may not: then nothing but an event can say so.
pub async fn untold(recorder: &Recorder, document: &ChatPlatform, error: &Error) {
    if refusal::of(&error.0).is_none() {
        return;
    }
    let event = Event {
        type_: EventType::Warning,
        reason: error.category().to_string(),
        note: Some(short(&error.to_string())),
        action: "Report".into(),
        secondary: None,
    };
    tell(recorder, &document.object_ref(&()), event).await;
}

/// Tells of what `provision` has changed in the servers.
pub async fn changes(recorder: &Recorder, document: &ChatPlatform, changes: &[(Component, String)]) {
    for (component, change) in changes {
        let note = format!("{}: {change}", component.name());
        tracing::info!(name = document.name_any(), namespace = document.namespace(), change = note, "provisioned");
        let event = Event {
            type_: EventType::Normal,
            reason: Reason::Provisioned.to_string(),
            note: Some(short(&note)),
            action: format!("Provision-{}", component.name()),
            secondary: None,
        };
        tell(recorder, &document.object_ref(&()), event).await;
    }
}

/// Tells of the steps that rotations have taken.
pub async fn rotations(recorder: &Recorder, document: &ChatPlatform, platform: &Platform) {
    for event in rotation::events(platform) {
        tell(recorder, &document.object_ref(&()), event).await;
    }
}

async fn tell(recorder: &Recorder, reference: &k8s_openapi::api::core::v1::ObjectReference, event: Event) {
    if let Err(error) = recorder.publish(&event, reference).await {
        // An event is a courtesy; the status has said the same.
        tracing::warn!(error = %error, reason = event.reason, "cannot publish an event");
    }
}

/// Conditions whose status has changed. What is not yet there, on a new platform, is no news.
fn changed<'a>(
    before: Option<&ChatPlatformStatus>,
    status: &'a ChatPlatformStatus,
) -> impl Iterator<Item = &'a Condition> {
    let before: Vec<Condition> = before.map(|status| status.conditions.clone()).unwrap_or_default();
    status.conditions.iter().filter(move |condition| {
        match before.iter().find(|before| before.type_ == condition.type_) {
            // What is not known, as while the platform sleeps, is as if it were not there.
            _ if condition.status == conditions::UNKNOWN => false,
            Some(before) if before.status != conditions::UNKNOWN => {
                before.status != condition.status || upgrade::is_step(before, condition)
            }
            _ => conditions::is_news(condition),
        }
    })
}

fn event(condition: &Condition) -> Event {
    let type_ = if conditions::is_good(condition) { EventType::Normal } else { EventType::Warning };
    Event {
        type_,
        reason: condition.reason.clone(),
        note: Some(short(&format!("{} is {}: {}", condition.type_, condition.status, condition.message))),
        // Events that agree in reason and action are counted as one.
        action: upgrade::action(condition).unwrap_or_else(|| condition.type_.clone()),
        secondary: None,
    }
}

/// Whether the last backup of a platform failed.
#[must_use]
pub fn backups_fail(status: &ChatPlatformStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == backup::CONDITION && condition.status == "False")
}

/// An event's note has at most 1 kB.
fn short(note: &str) -> String {
    note[..note.floor_char_boundary(1000)].to_owned()
}

#[cfg(test)]
mod tests;
