//! Restarts of the replica set's members after a change of their pods: secondaries first, one at a time, each once all others have
//! caught up, and the primary last, after it has handed over. Kubernetes would go by ordinal and by readiness alone, and so end with
//! an election at a bad moment; it only replaces the pods that are deleted here.

mod decision;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};

use decision::is_due;
pub use decision::{Step, next};

use crate::build::{Applied, Component, Resources};
use crate::observe::Observed;
use crate::proven::{Proven, Provisioned, Standing};
use crate::reason::Reason;
use crate::refusal;
use crate::validate::Platform;

/// Why a pod could not be restarted.
#[derive(Debug, thiserror::Error)]
#[error("cannot delete pod {pod}, which is to be replaced by one of the new form: {}", refusal::words(source))]
pub struct Error {
    /// Name of the pod.
    pod: String,
    /// What the API server said.
    source: Box<kube::Error>,
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        refusal::of(&self.source).unwrap_or(Reason::RollFailed)
    }
}

/// Whether pods are of an older form than the set. Then it must be asked anew who can be spared.
#[must_use]
pub fn is_under_way(platform: &Platform, observed: &Observed, applied: &Resources<Applied>) -> bool {
    let pods: Vec<&Pod> = observed.pods_of(Component::MongoDb).collect();
    set(platform, applied).is_some_and(|set| is_due(set, &pods))
}

/// Takes the next step, if the pods are of an older form than the set; tells what it does or waits for.
pub async fn roll(
    client: &Client,
    proven: &Proven,
    platform: &Platform,
    observed: &Observed,
    applied: &Resources<Applied>,
    provisioned: &Provisioned,
) -> Result<Option<String>, Error> {
    let Some(set) = set(platform, applied) else { return Ok(None) };
    let pods: Vec<&Pod> = observed.pods_of(Component::MongoDb).collect();
    let members = match provisioned.of(Component::MongoDb) {
        Some(Standing::Agrees(agreement)) => agreement.members.as_slice(),
        Some(Standing::Waiting | Standing::Disagrees(_)) | None => &[],
    };
    match next(set, &pods, members) {
        Step::Nothing => Ok(None),
        Step::Wait(reason) => Ok(Some(format!("rolls out a change, and waits for {reason}"))),
        Step::Delete(name) => {
            let api = Api::namespaced(client.clone(), &platform.names.namespace);
            if let Some(pod) = pods.iter().find(|pod| pod.name_any() == name) {
                tracing::info!(pod = name, namespace = platform.names.namespace, "restarting");
                delete(&api, pod).await?;
            }
            Ok(Some(format!("rolls out a change: restarts {name}")))
        }
        Step::StepDown(name) => Ok(Some(match proven.step_down(platform, &name).await {
            Ok(_) => format!("rolls out a change: {name} has handed over to another primary and is restarted last"),
            Err(refusal) => format!("rolls out a change, and {name} does not hand over: {refusal}"),
        })),
    }
}

fn set<'a>(platform: &Platform, applied: &'a Resources<Applied>) -> Option<&'a StatefulSet> {
    let name = platform.names.object(Component::MongoDb.name());
    applied.stateful_sets.iter().find(|set| set.name_any() == name)
}

/// Deletes this pod, and not the one that may have taken its place.
pub async fn delete(api: &Api<Pod>, pod: &Pod) -> Result<(), Error> {
    let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
    match api.delete(&pod.name_any(), &DeleteParams { preconditions, ..DeleteParams::default() }).await {
        Ok(_) => Ok(()),
        // Gone already, or replaced by another, which the next round looks at.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(Error { pod: pod.name_any(), source: Box::new(source) }),
    }
}

#[cfg(test)]
mod tests;
