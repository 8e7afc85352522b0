//! Volumes that are there already. A `StatefulSet` makes claims and never touches them again.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PropagationPolicy};
use serde_json::json;

use super::{Applier, Error, refused};
use crate::FIELD_MANAGER;
use crate::api::Quantity;
use crate::build::{Component, labels, volume, workload};
use crate::observe::Observed;

/// Whether a volume of the set is smaller than those that its template makes.
pub(super) fn is_growing(set: &StatefulSet, claims: &[PersistentVolumeClaim]) -> bool {
    template_size(set).is_some_and(|wanted| smaller(set, claims, &wanted).next().is_some())
}

/// The set with the claims that it makes now.
pub(super) fn as_they_are(set: &StatefulSet, there: &[StatefulSet]) -> StatefulSet {
    let mut set = set.clone();
    let live = there.iter().find(|live| live.name_any() == set.name_any()).and_then(|live| live.spec.as_ref());
    if let (Some(spec), Some(live)) = (&mut set.spec, live) {
        spec.volume_claim_templates.clone_from(&live.volume_claim_templates);
        // What the API server has filled in is its own, and of no meaning here.
        for claim in spec.volume_claim_templates.iter_mut().flatten() {
            claim.status = None;
        }
    }
    set
}

/// Asks for more where the claims of a set are smaller than its template has become. The class of the volumes says whether that can be;
/// the API server's refusal names it.
pub(super) async fn enlarge(
    to: &Applier<'_>,
    set: &StatefulSet,
    claims: &[PersistentVolumeClaim],
) -> Result<(), Error> {
    let Some(wanted) = template_size(set) else { return Ok(()) };
    for claim in smaller(set, claims, &wanted) {
        let name = claim.name_any();
        tracing::info!(name, size = %wanted, namespace = to.platform.names.namespace, "enlarging a volume");
        let patch = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {"resources": {"requests": {"storage": wanted.as_str()}}},
        });
        to.api::<PersistentVolumeClaim>()
            .patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
            .await
            .map_err(refused::<PersistentVolumeClaim>("enlarge", &name))?;
    }
    Ok(())
}

fn smaller<'a>(
    set: &'a StatefulSet,
    claims: &'a [PersistentVolumeClaim],
    wanted: &'a Quantity,
) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
    claims
        .iter()
        .filter(move |claim| is_of(claim, set) && size(claim).as_ref().and_then(Quantity::milli) < wanted.milli())
}

/// Deletes the claims of members that the replica set has let go: what they hold, the others have. Were they kept, a member that comes
/// back much later would start from data that are too old to be caught up with.
pub(super) async fn release(to: &Applier<'_>, observed: &Observed) -> Result<(), Error> {
    let Some(mongodb) = to.platform.mongodb.managed() else { return Ok(()) };
    let members = mongodb.members.get();
    // Only when the set itself has said that it counts on these members alone.
    if mongodb.pods != members || observed.mongodb_members != Some(members) {
        return Ok(());
    }
    let set = to.platform.names.object(Component::MongoDb.name());
    for claim in &observed.claims {
        let name = claim.name_any();
        let beyond = claim_ordinal(&name, &set).is_some_and(|ordinal| ordinal >= members);
        let in_use = observed.pods.iter().any(|pod| name == format!("{}-{}", volume::DATA, pod.name_any()));
        if beyond && !in_use && claim.metadata.deletion_timestamp.is_none() {
            to.take_away(claim, PropagationPolicy::Background, "releasing the volume of a former member").await?;
        }
    }
    Ok(())
}

fn template_size(set: &StatefulSet) -> Option<Quantity> {
    let templates = set.spec.as_ref()?.volume_claim_templates.as_ref()?;
    size(templates.iter().find(|claim| claim.name_any() == volume::DATA)?)
}

fn size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| Quantity::new(&size.0))
}

fn is_of(claim: &PersistentVolumeClaim, set: &StatefulSet) -> bool {
    claim.labels().get(labels::NAME) == set.labels().get(labels::NAME)
        && claim_ordinal(&claim.name_any(), &set.name_any()).is_some()
}

/// The ordinal of the pod that a claim `data-<set>-<ordinal>` belongs to.
fn claim_ordinal(claim: &str, set: &str) -> Option<i32> {
    let pod = claim.strip_prefix(volume::DATA)?.strip_prefix('-')?;
    pod.strip_prefix(set)?.strip_prefix('-')?;
    workload::ordinal(pod)
}

#[cfg(test)]
mod tests {
    use super::claim_ordinal;

    #[test]
    fn a_claim_tells_whose_it_is() {
        assert_eq!(claim_ordinal("data-acme-mongodb-4", "acme-mongodb"), Some(4));
        assert_eq!(claim_ordinal("data-acme-mongodb-4", "acme-redis"), None);
        assert_eq!(claim_ordinal("data-acme-mongodb-x", "acme-mongodb"), None);
    }
}
