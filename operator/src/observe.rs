//! The observe step: everything the other steps need to know of the cluster, read at one time and live.

mod keys;
mod rollout;
mod said;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

pub use rollout::Rollout;
pub use warnings::{NOT_STOPPING, Warning};

use crate::api::ChatPlatform;
use crate::build::{Component, HorizontalPodAutoscaler, Optional, labels};
use crate::reason::Reason;
use crate::refusal;
use crate::secrets::rotation::Testimony;

/// Why the cluster could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {kind}: {}", refusal::words(source))]
pub struct Error {
    /// The kind of object.
    kind: &'static str,
    /// What the API server said.
    source: Box<kube::Error>,
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        refusal::of(&self.source).unwrap_or(Reason::ObserveFailed)
    }

    /// Whether trying again is of no use until somebody acts.
    #[must_use]
    pub fn is_final(&self) -> bool {
        refusal::of(&self.source).is_some()
    }
}

/// Label of a pod: the Job that it was made for (`batchv1.JobNameLabel`).
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What there is of a platform.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Secrets that carry the platform's labels.
    pub secrets: Vec<Secret>,
    /// `ConfigMap`s that carry the platform's labels.
    pub config_maps: Vec<ConfigMap>,
    /// Services that carry the platform's labels.
    pub services: Vec<Service>,
    /// `StatefulSet`s that carry the platform's labels.
    pub stateful_sets: Vec<StatefulSet>,
    /// Deployments that carry the platform's labels.
    pub deployments: Vec<Deployment>,
    /// Jobs that carry the platform's labels, but those of backups: the cluster makes and removes them.
    pub jobs: Vec<Job>,
    /// Pods that carry the platform's labels, but those of backups.
    pub pods: Vec<Pod>,
    /// Jobs that a backup was made by, or restored, or that are at it.
    pub backup_jobs: Vec<Job>,
    /// The pods of these.
    pub backup_pods: Vec<Pod>,
    /// Volume claims that carry the platform's labels.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Of the Deployments, the names of those of which the operator alone says how many pods they have.
    pub scaled_by_us: BTreeSet<String>,
    /// Autoscalers that carry the platform's labels.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// Disruption budgets that carry the platform's labels.
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// Network policies that carry the platform's labels.
    pub network_policies: Vec<NetworkPolicy>,
    /// Objects that carry the platform's labels, of those kinds that were looked at; none of a kind that the cluster does not know.
    pub optional: BTreeMap<Optional, Option<Vec<DynamicObject>>>,
    /// The Secrets that the document names and that are there, by name.
    pub named: BTreeMap<String, Secret>,
    /// What Kubernetes says of objects that are stuck, by their identity; no status has it.
    pub warnings: BTreeMap<String, Warning>,
    /// What pods say of the keys of rings whose rotation is under way.
    pub keys: Vec<Testimony>,
    /// Ids of the generations of credentials that a server accepts, and no others, as far as it has been made to agree.
    pub accepted: BTreeMap<Component, Vec<String>>,
    /// Pods, from ordinal 0 on, that the replica set counts among its members, as far as it has been asked.
    pub mongodb_members: Option<i32>,
    /// Whether the replica set serves, as far as it has been asked.
    pub mongodb_serves: bool,
    /// The namespace of this operator.
    pub operator_namespace: String,
}

impl Observed {
    /// The address of a Service; none while there is no such Service or it has no address of its own.
    #[must_use]
    pub fn cluster_ip(&self, service: &str) -> Option<IpAddr> {
        let service = self.services.iter().find(|candidate| candidate.name_any() == service)?;
        service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
    }

    /// The objects of a kind that a cluster may not have.
    #[must_use]
    pub fn of_kind(&self, kind: Optional) -> &[DynamicObject] {
        self.optional.get(&kind).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether the cluster was asked for a kind and does not know it.
    #[must_use]
    pub fn lacks(&self, kind: Optional) -> bool {
        self.optional.get(&kind).is_some_and(Option::is_none)
    }

    /// The pods of a component.
    pub fn pods_of(&self, component: Component) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| of(pod.labels(), component))
    }

    /// The pods of a Job.
    pub fn pods_of_job(&self, job: &str) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| pod.labels().get(JOB_NAME).is_some_and(|name| name == job))
    }

    /// Whether a component has a volume, and so may hold data from before.
    #[must_use]
    pub fn has_claim(&self, component: Component) -> bool {
        self.claims.iter().any(|claim| of(claim.labels(), component))
    }
}

/// Reads what there is of a platform; of the kinds that a cluster may not have, those in `kinds`.
pub async fn observe(client: &Client, document: &ChatPlatform, kinds: &[Optional]) -> Result<Observed, Error> {
    let namespace = document.namespace().unwrap_or_default();
    let name = document.name_any();
    let list = Lister { client, namespace: &namespace, params: ListParams::default().labels(&labels::ours_of(&name)) };
    let mut named = BTreeMap::new();
    for name in document.spec.named_secrets().map(ToOwned::to_owned).chain(document.issued_secret()) {
        if let Some(secret) = list.secret(&name).await? {
            named.insert(name, secret);
        }
    }
    let stateful_sets = list.all("StatefulSets").await?;
    let mut deployments: Vec<Deployment> = list.whole("Deployments").await?;
    let scaled_by_us = said::by_us_alone(&deployments);
    strip(&mut deployments);
    let (backup_jobs, jobs): (Vec<Job>, Vec<Job>) = list.all("Jobs").await?.into_iter().partition(is_of_backup);
    let (backup_pods, pods): (Vec<Pod>, Vec<Pod>) = list.all("Pods").await?.into_iter().partition(is_of_backup);
    let now = Timestamp::now();
    let mut warnings = warnings::of(client, &namespace, warnings::stuck(&stateful_sets, &jobs, &pods, now)).await;
    warnings.extend(warnings::overdue(&pods, now));
    let mut optional = BTreeMap::new();
    for kind in kinds {
        optional.insert(*kind, list.optional(*kind, kind.is_asked_for(&document.spec)).await?);
    }
    let secrets = list.all("Secrets").await?;
    // After the Secrets, so that what pods say is never older than the step that it is believed for.
    let keys = keys::ask(&secrets, &pods, &name).await;
    Ok(Observed {
        secrets,
        config_maps: list.all("ConfigMaps").await?,
        services: list.all("Services").await?,
        stateful_sets,
        deployments,
        scaled_by_us,
        jobs,
        backup_jobs,
        backup_pods,
        autoscalers: list.all("HorizontalPodAutoscalers").await?,
        pods,
        claims: list.all("PersistentVolumeClaims").await?,
        disruption_budgets: list.all("PodDisruptionBudgets").await?,
        network_policies: list.all("NetworkPolicies").await?,
        optional,
        named,
        warnings,
        keys,
        accepted: BTreeMap::new(),
        mongodb_members: None,
        mongodb_serves: false,
        operator_namespace: String::new(),
    })
}

/// An object kind that is read.
trait Kind:
    kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug
{
}
impl<K> Kind for K where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug
{
}

/// Who set which field is half of every object, and of interest in one place alone.
fn strip<K: Kind>(items: &mut [K]) {
    for item in items {
        item.meta_mut().managed_fields = None;
    }
}

struct Lister<'a> {
    client: &'a Client,
    namespace: &'a str,
    params: ListParams,
}

impl Lister<'_> {
    async fn all<K: Kind>(&self, kind: &'static str) -> Result<Vec<K>, Error> {
        let mut items = self.whole(kind).await?;
        strip(&mut items);
        Ok(items)
    }

    async fn whole<K: Kind>(&self, kind: &'static str) -> Result<Vec<K>, Error> {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        Ok(api.list(&self.params).await.map_err(|source| Error { kind, source: Box::new(source) })?.items)
    }

    /// The objects of a kind that a cluster may not have; none where it has not.
    async fn optional(&self, kind: Optional, is_asked_for: bool) -> Result<Option<Vec<DynamicObject>>, Error> {
        let resource = kind.resource();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        match api.list(&self.params).await {
            Ok(list) => Ok(Some(list.items.into_iter().map(|item| named_by_itself(kind, item)).collect())),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            // Without the right to look there is nothing of ours either, and nobody needs it.
            Err(kube::Error::Api(status)) if status.code == 403 && !is_asked_for => Ok(None),
            Err(source) => Err(Error { kind: kind.plural(), source: Box::new(source) }),
        }
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        api.get_opt(name).await.map_err(|source| Error { kind: "Secrets", source: Box::new(source) })
    }
}

/// An object of a list, which does not say what it is, as it would be if it were alone.
fn named_by_itself(kind: Optional, mut object: DynamicObject) -> DynamicObject {
    object.types = Some(kind.types());
    object.metadata.managed_fields = None;
    object
}

fn is_of_backup<K: Kind>(item: &K) -> bool {
    labels::is_of_backup(item.labels())
}

/// Whether a pod takes requests.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && has_condition(pod, "Ready", "True")
}

/// Whether a pod says this of itself.
#[must_use]
pub fn has_condition(pod: &Pod, type_: &str, value: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_ && condition.status == value)
}

fn of(labels: &BTreeMap<String, String>, component: Component) -> bool {
    labels.get(labels::NAME).is_some_and(|name| name == component.name())
}
