//! The apply step: server-side apply with one field manager, forced, in a fixed order; then what is no longer wanted goes.
//!
//! An object that already is as it shall be is not written: its annotation says that these very fields were applied last, and a
//! comparison with what is there that nobody has changed them since. So a platform at rest costs no request but the reads.

mod announcement;
mod claims;
mod drift;
mod fixed;
mod isolation;
mod replicas;
mod writer;

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use kube::{Api, Client, Resource};

pub use self::writer::APPLIED_DIGEST;
use self::writer::{Object, Writer};
use crate::FIELD_MANAGER;
use crate::build::{Applied, Optional, Prepared, Resources, labels};
use crate::observe::Observed;
use crate::reason::Reason;
use crate::refusal;
use crate::validate::Platform;

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
        pod_monitors,
        cron_jobs,
        state: PhantomData,
    } = resources;
    // First, as one that is no longer wanted would undo what a Deployment says from now on.
    to.of().prune(&autoscalers, &observed.autoscalers).await?;
    let (growing, stateful_sets) = stateful_sets.into_iter().partition(|set| claims::is_growing(set, &observed.claims));
    let mut applied = Resources {
        secrets: to.of().set(secrets, &observed.secrets).await?,
        config_maps: to.of().set(config_maps, &observed.config_maps).await?,
        services: to.of().set(services, &observed.services).await?,
        network_policies: isolation::set(&to, network_policies, &observed.network_policies).await?,
        stateful_sets: to.of().set(stateful_sets, &observed.stateful_sets).await?,
        jobs: to.of().set(jobs, &observed.jobs).await?,
        deployments: replicas::set(&to, deployments, observed).await?,
        // After what they scale, which they would not find.
        autoscalers: to.of().set(autoscalers, &observed.autoscalers).await?,
        disruption_budgets: to.of().set(disruption_budgets, &observed.disruption_budgets).await?,
        certificates: to
            .optional(Optional::Certificate)
            .set(certificates, observed.of_kind(Optional::Certificate))
            .await?,
        // Who comes by these finds the edge there.
        ingresses: to.optional(Optional::Ingress).set(ingresses, observed.of_kind(Optional::Ingress)).await?,
        http_routes: to.optional(Optional::HttpRoute).set(http_routes, observed.of_kind(Optional::HttpRoute)).await?,
        pod_monitors: to
            .optional(Optional::PodMonitor)
            .set(pod_monitors, observed.of_kind(Optional::PodMonitor))
            .await?,
        cron_jobs: to.optional(Optional::CronJob).set(cron_jobs, observed.of_kind(Optional::CronJob)).await?,
        state: PhantomData,
    };
    // Last, so that a class of volumes that refuses to enlarge them stops nothing else.
    applied.stateful_sets.extend(grow(&to, growing, observed).await?);
    announcement::announce(&to, observed).await?;
    to.optional(Optional::CronJob).prune(&applied.cron_jobs, observed.of_kind(Optional::CronJob)).await?;
    to.optional(Optional::PodMonitor).prune(&applied.pod_monitors, observed.of_kind(Optional::PodMonitor)).await?;
    to.optional(Optional::HttpRoute).prune(&applied.http_routes, observed.of_kind(Optional::HttpRoute)).await?;
    to.optional(Optional::Ingress).prune(&applied.ingresses, observed.of_kind(Optional::Ingress)).await?;
    to.optional(Optional::Certificate).prune(&applied.certificates, observed.of_kind(Optional::Certificate)).await?;
    to.of().prune(&applied.disruption_budgets, &observed.disruption_budgets).await?;
    to.of().prune(&applied.deployments, &observed.deployments).await?;
    // Once the Deployments that had to wait for them are written, which proves that they are done.
    to.of().prune(&applied.jobs, &observed.jobs).await?;
    to.of().prune(&applied.stateful_sets, &observed.stateful_sets).await?;
    isolation::prune(&to, &applied.network_policies, &observed.network_policies).await?;
    to.of().prune(&applied.services, &observed.services).await?;
    to.of().prune(&applied.config_maps, &observed.config_maps).await?;
    to.of().prune(&applied.secrets, &observed.secrets).await?;
    claims::release(&to, observed).await?;
    claims::bequeath(&to, &applied.stateful_sets, observed).await?;
    Ok((applied, to.repairs.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Sets whose volumes are to be larger: all else about them first, then the volumes that are there, then the set that makes the next ones.
async fn grow(to: &Applier<'_>, sets: Vec<StatefulSet>, observed: &Observed) -> Result<Vec<StatefulSet>, Error> {
    let small = sets.iter().map(|set| claims::as_they_are(set, &observed.stateful_sets)).collect();
    let there = to.of().set(small, &observed.stateful_sets).await?;
    for set in &sets {
        claims::enlarge(to, set, &observed.claims).await?;
    }
    to.of().set(sets, &there).await
}

struct Applier<'a> {
    client: &'a Client,
    platform: &'a Platform,
    /// Whether all of it has been there before.
    settled: bool,
    repairs: Mutex<Vec<Repair>>,
}

impl Applier<'_> {
    /// Who writes the objects of a kind that every cluster has.
    fn of<K>(&self) -> Writer<'_, K>
    where
        K: Object + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Writer { to: self, api: self.api(), kind: K::kind(&()) }
    }

    /// Who writes the objects of a kind that a cluster may not have.
    fn optional(&self, kind: Optional) -> Writer<'_, DynamicObject> {
        let resource = kind.resource();
        let api = Api::namespaced_with(self.client.clone(), &self.platform.names.namespace, &resource);
        Writer { to: self, api, kind: resource.kind.into() }
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.platform.names.namespace)
    }

    fn repaired(&self, kind: &str, name: &str, why: &'static str) {
        // A list is whole after any panic elsewhere.
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        repairs.push(Repair { kind: kind.to_owned(), name: name.to_owned(), why });
    }

    fn is_ours(&self, metadata: &ObjectMeta) -> bool {
        let has = |label: &str, value: &str| {
            metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|is| is == value)
        };
        let labelled = has(labels::MANAGED_BY, FIELD_MANAGER) && has(labels::INSTANCE, &self.platform.names.platform);
        let owned = metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.platform.owner.uid);
        labelled || owned
    }
}

fn refused(action: &'static str, kind: &str, name: &str) -> impl Fn(kube::Error) -> Error + use<> {
    let (kind, name) = (kind.to_owned(), name.to_owned());
    move |source| Error::Refused { action, kind: kind.clone(), name: name.clone(), source: Box::new(source) }
}
