//! The apply step: server-side apply with one field manager, forced, in a fixed order; then what is no longer wanted goes.
//!
//! An object that already is as it shall be is not written: its annotation says that these very fields were applied last, and a
//! comparison with what is there that nobody has changed them since. So a platform at rest costs no request but the reads.

mod certificate;
mod claims;
mod drift;
mod fixed;
mod isolation;
mod optional;
mod replicas;

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::build::{Applied, Component, Optional, Prepared, Resources, labels, workload};
use crate::observe::Observed;
use crate::reason::Reason;
use crate::refusal;
use crate::validate::Platform;

/// Annotation of every object: a digest of what was applied last.
pub const APPLIED_DIGEST: &str = "chatplatform.dev/applied-digest";

/// Where an object has it, [`APPLIED_DIGEST`] as a part of a JSON pointer (RFC 6901).
const DIGEST: &str = "/metadata/annotations/chatplatform.dev~1applied-digest";

/// Writes that may be under way at once.
const AT_ONCE: usize = 8;

/// An object that was put back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repair {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What somebody had done to it, for people.
    pub why: &'static str,
}

/// Why an object could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not take it.
    #[error("cannot {action} {kind} {name}: {}", refusal::words(source))]
    Refused {
        /// apply, delete or look up.
        action: &'static str,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// An object of that name is there, made by somebody else.
    #[error(
        "{kind} {name} is there already and does not belong to this platform: delete it if nobody needs it, or give the platform another name"
    )]
    Foreign {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// It has no JSON form, which cannot be for the types that are applied here.
    #[error("cannot write {kind} {name} as JSON: {source}")]
    Json {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the serializer said.
        source: serde_json::Error,
    },
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        match self {
            Self::Refused { source, .. } => refusal::of(source).unwrap_or(Reason::ApplyFailed),
            Self::Foreign { .. } => Reason::ForeignObject,
            Self::Json { .. } => Reason::InternalError,
        }
    }

    /// Whether trying again is of no use until somebody acts.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { source, .. } => {
                let refused = matches!(source.as_ref(), kube::Error::Api(status) if matches!(status.code, 403 | 422));
                refused || refusal::of(source).is_some()
            }
            Self::Foreign { .. } | Self::Json { .. } => true,
        }
    }
}

/// Makes the cluster hold `resources`, and nothing else of this platform.
///
/// Order: what pods mount, what names them and what lets them reach each other comes before the pods, so that none starts in vain; the
/// servers that hold data come before the services that wait for them.
///
/// Answers what it had to put back besides, for people: what somebody has changed and, of a platform that is `settled`, what is gone.
pub async fn apply(
    client: &Client,
    platform: &Platform,
    resources: Resources<Prepared>,
    observed: &Observed,
    settled: bool,
) -> Result<(Resources<Applied>, Vec<Repair>), Error> {
    let to = Applier { client, platform, settled, repairs: Mutex::default() };
    // Without `..`: a kind that nobody applies does not compile.
    let Resources {
        secrets,
        config_maps,
        services,
        stateful_sets,
        jobs,
        deployments,
        autoscalers,
        disruption_budgets,
        network_policies,
        certificates,
        ingresses,
        http_routes,
        state: PhantomData,
    } = resources;
    // First, as one that is no longer wanted would undo what a Deployment says from now on.
    to.prune(&autoscalers, &observed.autoscalers).await?;
    let (growing, stateful_sets) = stateful_sets.into_iter().partition(|set| claims::is_growing(set, &observed.claims));
    let mut applied = Resources {
        secrets: to.set(secrets, &observed.secrets).await?,
        config_maps: to.set(config_maps, &observed.config_maps).await?,
        services: to.set(services, &observed.services).await?,
        network_policies: isolation::set(&to, network_policies, &observed.network_policies).await?,
        stateful_sets: to.set(stateful_sets, &observed.stateful_sets).await?,
        jobs: to.set(jobs, &observed.jobs).await?,
        deployments: replicas::set(&to, deployments, observed).await?,
        // After what they scale, which they would not find.
        autoscalers: to.set(autoscalers, &observed.autoscalers).await?,
        disruption_budgets: to.set(disruption_budgets, &observed.disruption_budgets).await?,
        certificates: optional::set(&to, Optional::Certificate, certificates, observed).await?,
        // Who comes by these finds the edge there.
        ingresses: optional::set(&to, Optional::Ingress, ingresses, observed).await?,
        http_routes: optional::set(&to, Optional::HttpRoute, http_routes, observed).await?,
        state: PhantomData,
    };
    // Last, so that a class of volumes that refuses to enlarge them stops nothing else.
    applied.stateful_sets.extend(grow(&to, growing, observed).await?);
    certificate::announce(&to, observed).await?;
    optional::prune(&to, Optional::HttpRoute, &applied.http_routes, observed).await?;
    optional::prune(&to, Optional::Ingress, &applied.ingresses, observed).await?;
    optional::prune(&to, Optional::Certificate, &applied.certificates, observed).await?;
    to.prune(&applied.disruption_budgets, &observed.disruption_budgets).await?;
    to.prune(&applied.deployments, &observed.deployments).await?;
    // Once the Deployments that had to wait for them are written, which proves that they are done.
    to.prune(&applied.jobs, &observed.jobs).await?;
    to.prune(&applied.stateful_sets, &observed.stateful_sets).await?;
    isolation::prune(&to, &applied.network_policies, &observed.network_policies).await?;
    to.prune(&applied.services, &observed.services).await?;
    to.prune(&applied.config_maps, &observed.config_maps).await?;
    to.prune(&applied.secrets, &observed.secrets).await?;
    claims::release(&to, observed).await?;
    claims::bequeath(&to, &applied.stateful_sets, observed).await?;
    Ok((applied, to.repairs.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Sets whose volumes are to be larger: all else about them first, then the volumes that are there, then the set that makes the next ones.
async fn grow(to: &Applier<'_>, sets: Vec<StatefulSet>, observed: &Observed) -> Result<Vec<StatefulSet>, Error> {
    let small = sets.iter().map(|set| claims::as_they_are(set, &observed.stateful_sets)).collect();
    let there = to.set(small, &observed.stateful_sets).await?;
    for set in &sets {
        claims::enlarge(to, set, &observed.claims).await?;
    }
    to.set(sets, &there).await
}

/// An object kind that the operator writes.
trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

struct Applier<'a> {
    client: &'a Client,
    platform: &'a Platform,
    /// Whether all of it has been there before.
    settled: bool,
    repairs: Mutex<Vec<Repair>>,
}

impl Applier<'_> {
    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.platform.names.namespace)
    }

    async fn set<K: Kind>(&self, wanted: Vec<K>, observed: &[K]) -> Result<Vec<K>, Error> {
        stream::iter(wanted.into_iter().map(|object| self.one(object, observed))).buffered(AT_ONCE).try_collect().await
    }

    async fn one<K: Kind>(&self, object: K, observed: &[K]) -> Result<K, Error> {
        let name = object.name_any();
        let wanted = with_digest(&object)?;
        if let Some(live) = observed.iter().find(|live| live.name_any() == name) {
            let there = json(live)?;
            if drift::agrees(&wanted, &there) {
                return Ok(live.clone());
            }
            let digest = |object: &Value| object.pointer(DIGEST).cloned();
            if digest(&wanted) == digest(&there) {
                // These very fields were applied last, and are others now.
                self.repairs::<K>(&name, "which somebody had changed");
            }
            if fixed::differs(&wanted, &there) {
                self.take_away(live, PropagationPolicy::Orphan, "making anew, its pods stay").await?;
            }
        } else {
            self.refuse_foreign::<K>(&name).await?;
            // A Job that is gone is one that is to be tried again.
            if self.settled && K::kind(&()) != Job::kind(&()) {
                self.repairs::<K>(&name, "which was gone");
            }
        }
        tracing::info!(kind = %K::kind(&()), name, namespace = self.platform.names.namespace, "applying");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.api::<K>().patch(&name, &params, &Patch::Apply(&wanted)).await.map_err(refused::<K>("apply", &name))
    }

    fn repairs<K: Kind>(&self, name: &str, why: &'static str) {
        // A list is whole after any panic elsewhere.
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        repairs.push(Repair { kind: K::kind(&()).into_owned(), name: name.to_owned(), why });
    }

    /// Forced apply would take over whatever has that name.
    async fn refuse_foreign<K: Kind>(&self, name: &str) -> Result<(), Error> {
        let there = self.api::<K>().get_metadata_opt(name).await.map_err(refused::<K>("look up", name))?;
        match there {
            Some(there) if !self.is_ours(&there.metadata) => {
                Err(Error::Foreign { kind: K::kind(&()).into_owned(), name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn is_ours(&self, metadata: &ObjectMeta) -> bool {
        let has = |label: &str, value: &str| {
            metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|is| is == value)
        };
        let labelled = has(labels::MANAGED_BY, FIELD_MANAGER) && has(labels::INSTANCE, &self.platform.names.platform);
        let owned = metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.platform.owner.uid);
        labelled || owned
    }

    /// Deletes what is ours and not among what is wanted.
    async fn prune<K: Kind>(&self, wanted: &[K], observed: &[K]) -> Result<(), Error> {
        for live in observed {
            let name = live.name_any();
            let edge = live.labels().get(labels::NAME).is_some_and(|label| label == Component::Edge.name());
            // The edge is left out of what is wanted while it is not known what stands behind it.
            let unknown = edge && self.platform.upstreams.is_none();
            if unknown
                || live.meta().deletion_timestamp.is_some()
                || wanted.iter().any(|object| object.name_any() == name)
            {
                continue;
            }
            self.take_away(live, PropagationPolicy::Background, "pruning").await?;
        }
        Ok(())
    }

    /// Deletes an object, unless another has taken its place.
    async fn take_away<K: Kind>(&self, live: &K, propagation: PropagationPolicy, why: &str) -> Result<(), Error> {
        let name = live.name_any();
        tracing::info!(kind = %K::kind(&()), name, namespace = self.platform.names.namespace, "{why}");
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api::<K>().delete(&name, &params).await {
            Ok(_) => Ok(()),
            // Gone already, or another object by now, which the next round looks at.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(refused::<K>("delete", &name)(error)),
        }
    }
}

fn refused<K: Kind>(action: &'static str, name: &str) -> impl Fn(kube::Error) -> Error + use<K> {
    let (kind, name) = (K::kind(&()).into_owned(), name.to_owned());
    move |source| Error::Refused { action, kind: kind.clone(), name: name.clone(), source: Box::new(source) }
}

fn json<K: Kind>(object: &K) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|source| Error::Json {
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        source,
    })
}

fn with_digest<K: Kind>(object: &K) -> Result<Value, Error> {
    let digest = workload::digest([json(object)?.to_string().as_str()]);
    let mut object = object.clone();
    object.annotations_mut().insert(APPLIED_DIGEST.to_owned(), digest);
    json(&object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn the_digest_is_found_where_it_is_put() {
        let object = with_digest(&ConfigMap::default()).unwrap();
        assert_eq!(object.pointer(DIGEST), object["metadata"]["annotations"].get(APPLIED_DIGEST));
        assert!(object.pointer(DIGEST).is_some());
    }
}
