//! The provision step, and what it has proven: a server is logged in to only when something about it has changed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::build::{Component, workload};
use crate::observe::Observed;
use crate::provisioner::{Agreement, Provisioner, Refusal};
use crate::validate::Platform;

/// How long a proof holds while nothing changes that the cluster tells of. After that the server is asked again, in case
/// somebody has changed it by hand.
const HOLDS: Duration = Duration::from_mins(10);

/// What is known of a server.
#[derive(Clone, Debug)]
pub enum Standing {
    /// None of its pods is ready, so there is nobody to ask.
    Waiting,
    /// It was made to agree, and said this.
    Agrees(Agreement),
    /// It does not agree.
    Disagrees(Refusal),
}

/// What is known of each server that holds data.
#[derive(Clone, Debug, Default)]
pub struct Provisioned(HashMap<Component, Standing>);

impl Provisioned {
    /// What is known of a component; none for those that hold no data.
    #[must_use]
    pub fn of(&self, component: Component) -> Option<&Standing> {
        self.0.get(&component)
    }

    /// With what is known of a component.
    #[must_use]
    pub fn with(mut self, component: Component, standing: Standing) -> Self {
        self.0.insert(component, standing);
        self
    }

    /// What this run has changed in the servers, by server.
    #[must_use]
    pub fn changes(&self) -> Vec<(Component, String)> {
        let changes = |component| match self.of(component)? {
            Standing::Agrees(agreement) if !agreement.changes.is_empty() => {
                Some((component, agreement.changes.join(", ")))
            }
            _ => None,
        };
        Component::DATA.into_iter().filter_map(changes).collect()
    }

    /// Servers that refuse to agree.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        Component::DATA.into_iter().filter_map(|component| match self.of(component)? {
            Standing::Disagrees(refusal) => Some(refusal),
            _ => None,
        })
    }
}

/// What has been proven, by platform and server.
#[derive(Debug, Default)]
pub struct Proven {
    provisioner: Provisioner,
    proofs: Mutex<HashMap<(String, Component), Proof>>,
}

#[derive(Clone, Debug)]
struct Proof {
    fingerprint: String,
    at: Instant,
    agreement: Agreement,
}

impl Proven {
    /// Makes every server that has a ready pod agree, unless that is proven already.
    pub async fn provision(&self, platform: &Platform, observed: &Observed) -> Provisioned {
        let mut provisioned = Provisioned::default();
        let mut errands = Vec::new();
        for component in Component::DATA {
            let key = (platform.owner.uid.clone(), component);
            if !observed.pods_of(component).any(is_ready) {
                self.lock().remove(&key);
                provisioned = provisioned.with(component, Standing::Waiting);
                continue;
            }
            let fingerprint = fingerprint(platform, observed, component);
            match self.proof(&key, &fingerprint) {
                Some(agreement) => provisioned = provisioned.with(component, Standing::Agrees(agreement)),
                None => errands.push((key, fingerprint)),
            }
        }
        if errands.is_empty() {
            return provisioned;
        }
        let components: Vec<Component> = errands.iter().map(|((_, component), _)| *component).collect();
        let outcomes = self.provisioner.run(platform, &components).await;
        for ((key, fingerprint), outcome) in errands.into_iter().zip(outcomes) {
            let component = key.1;
            let mut proofs = self.lock();
            proofs.remove(&key);
            let standing = match outcome {
                Ok(agreement) => {
                    if agreement.ready {
                        let agreement = Agreement { changes: vec![], ..agreement.clone() };
                        proofs.insert(key, Proof { fingerprint, at: Instant::now(), agreement });
                    }
                    Standing::Agrees(agreement)
                }
                Err(refusal) => Standing::Disagrees(refusal),
            };
            provisioned = provisioned.with(component, standing);
        }
        provisioned
    }

    /// Forgets a platform that is no more.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|(platform, _), _| platform != uid);
    }

    fn proof(&self, key: &(String, Component), fingerprint: &str) -> Option<Agreement> {
        let proofs = self.lock();
        let proof = proofs.get(key)?;
        (proof.fingerprint == fingerprint && proof.at.elapsed() < HOLDS).then(|| proof.agreement.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Component), Proof>> {
        // A map is whole after any panic elsewhere.
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a pod takes requests.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A digest of all that a proof rests on: what was asked of the server, and which processes were asked.
fn fingerprint(platform: &Platform, observed: &Observed, component: Component) -> String {
    let material = &platform.material;
    let mut parts = vec![platform.mongodb.members.get().to_string()];
    parts.extend(material.read_at_start(component.name()));
    let users = material.mongodb.users.iter().chain(&material.redis.users).chain(&material.rabbitmq.users);
    parts.extend(users.flat_map(|login| [login.user.clone(), login.password.expose_secret().to_owned()]));
    let mut processes: Vec<_> = observed.pods_of(component).map(process).collect();
    processes.sort_unstable();
    parts.append(&mut processes);
    workload::digest(parts.iter().map(String::as_str))
}

fn process(pod: &Pod) -> String {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let restarts: i32 = statuses.into_iter().flatten().map(|status| status.restart_count).sum();
    format!("{} {} {restarts} {}", pod.name_any(), pod.uid().unwrap_or_default(), is_ready(pod))
}
