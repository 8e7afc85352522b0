//! Volumes that are there already. A `StatefulSet` makes claims and never touches them again.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PropagationPolicy};
use serde_json::json;

use super::{Applier, Error, refused};
use crate::FIELD_MANAGER;
use crate::api::{DeletionPolicy, Quantity};
use crate::build::{Component, labels, volume, workload};
use crate::observe::Observed;
use crate::validate::Hibernation;

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
            .map_err(refused("enlarge", "PersistentVolumeClaim", &name))?;
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
    if to.platform.hibernation != Hibernation::Awake {
        // Nobody can say any more what is needed.
        return Ok(());
    }
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
            to.of().take_away(claim, PropagationPolicy::Background, "releasing the volume of a former member").await?;
        }
    }
    Ok(())
}

/// Has the claims of sets that sleep go with their set, or stay without it, as the deletion policy says. Kubernetes sees to that for the
/// claims of pods that are there, and for no others.
pub(super) async fn bequeath(to: &Applier<'_>, sets: &[StatefulSet], observed: &Observed) -> Result<(), Error> {
    let goes = to.platform.deletion_policy == DeletionPolicy::Delete;
    for set in sets.iter().filter(|set| set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))) {
        for claim in observed.claims.iter().filter(|claim| is_of(claim, set)) {
            let Some(owners) = owners(claim.owner_references(), set, goes) else { continue };
            let name = claim.name_any();
            // The version, so that an owner that somebody has just added is not lost.
            let metadata = json!({"resourceVersion": claim.resource_version(), "ownerReferences": owners});
            to.api::<PersistentVolumeClaim>()
                .patch(&name, &PatchParams::default(), &Patch::Merge(&json!({"metadata": metadata})))
                .await
                .map_err(refused("change the owner of", "PersistentVolumeClaim", &name))?;
        }
    }
    Ok(())
}

/// The owners of a claim that goes with its set, or does not; none where they are those already.
fn owners(before: &[OwnerReference], set: &StatefulSet, goes: bool) -> Option<Vec<OwnerReference>> {
    let (of_set, others): (Vec<_>, Vec<_>) =
        before.iter().cloned().partition(|owner| owner.kind == "StatefulSet" && owner.name == set.name_any());
    let uid = set.uid().unwrap_or_default();
    let is_so = if goes { of_set.iter().any(|owner| owner.uid == uid) } else { of_set.is_empty() };
    let own = goes.then(|| OwnerReference {
        api_version: "apps/v1".into(),
        kind: "StatefulSet".into(),
        name: set.name_any(),
        uid,
        // As Kubernetes writes it, which leaves claims of other controllers alone.
        controller: others.iter().all(|owner| owner.controller != Some(true)).then_some(true),
        block_owner_deletion: None,
    });
    (!is_so).then(|| others.into_iter().chain(own).collect())
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
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use serde_json::json;

    use super::{claim_ordinal, owners};

    fn owner(kind: &str, name: &str, uid: &str) -> OwnerReference {
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid})).unwrap()
    }

    fn uids(owners: &[OwnerReference]) -> Vec<&str> {
        owners.iter().map(|owner| owner.uid.as_str()).collect()
    }

    #[test]
    fn a_claim_goes_with_its_set_or_stays_and_keeps_its_other_owners() {
        let set: StatefulSet =
            serde_json::from_value(json!({"metadata": {"name": "acme-redis", "uid": "new"}})).unwrap();
        let (backup, former) = (owner("Backup", "b", "theirs"), owner("StatefulSet", "acme-redis", "old"));
        let own = owner("StatefulSet", "acme-redis", "new");
        assert_eq!(uids(&owners(std::slice::from_ref(&backup), &set, true).unwrap()), ["theirs", "new"]);
        assert_eq!(uids(&owners(std::slice::from_ref(&former), &set, true).unwrap()), ["new"]);
        assert_eq!(uids(&owners(&[backup.clone(), former], &set, false).unwrap()), ["theirs"]);
        assert_eq!(uids(&owners(std::slice::from_ref(&own), &set, false).unwrap()), [""; 0]);
        assert_eq!(owners(&[backup.clone(), own], &set, true), None);
        assert_eq!(owners(&[backup], &set, false), None);
    }

    #[test]
    fn a_claim_tells_whose_it_is() {
        assert_eq!(claim_ordinal("data-acme-mongodb-4", "acme-mongodb"), Some(4));
        assert_eq!(claim_ordinal("data-acme-mongodb-4", "acme-redis"), None);
        assert_eq!(claim_ordinal("data-acme-mongodb-x", "acme-mongodb"), None);
    }
}
