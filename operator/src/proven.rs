//! The provision step, and what it has proven: a server is logged in to only when something about it has changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::build::{Component, workload};
use crate::observe::{Observed, is_ready};
use crate::provisioner::{Agreement, Provisioner, Refusal, Role};
use crate::secrets::Login;
use crate::validate::Platform;

/// How long a proof holds while something about the platform is not well: the server may be what ails the others.
const HOLDS_IN_TROUBLE: Duration = Duration::from_secs(10);
/// How long a proof holds while nothing changes that the cluster tells of. After that the server is asked again, in case
/// somebody has changed it by hand.
const HOLDS: Duration = Duration::from_mins(10);
/// The same of a server that somebody else runs, of which the cluster tells nothing.
pub const HOLDS_OF_OTHERS: Duration = Duration::from_mins(1);

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
    /// What the replica set of a platform said of itself when it was last asked.
    sets: Mutex<HashMap<String, ReplicaSet>>,
    /// Ids of the generations of credentials that a server was last made to accept, and no others.
    accepted: Mutex<HashMap<(String, Component), Vec<String>>>,
}

/// What is known of a replica set.
#[derive(Clone, Copy, Debug, Default)]
struct ReplicaSet {
    /// Pods that it counted on when it last told of any, from ordinal 0 on.
    members: Option<i32>,
    /// Whether it took writes when it was last asked.
    serves: bool,
}

#[derive(Clone, Debug)]
struct Proof {
    fingerprint: String,
    at: Instant,
    holds: Duration,
    agreement: Agreement,
}

impl Proven {
    /// Makes every server that has a ready pod agree, unless that is proven already. `all_well` says whether the platform was ready when
    /// it was last looked at.
    pub async fn provision(&self, platform: &Platform, observed: &Observed, all_well: bool) -> Provisioned {
        let mut provisioned = Provisioned::default();
        let mut errands = Vec::new();
        for component in Component::DATA {
            let key = (platform.owner.uid.clone(), component);
            if !platform.is_external(component) && !observed.pods_of(component).any(is_ready) {
                self.lock().remove(&key);
                lock(&self.accepted).remove(&key);
                provisioned = provisioned.with(component, Standing::Waiting);
                continue;
            }
            let fingerprint = fingerprint(platform, observed, component);
            match self.proof(&key, &fingerprint, all_well) {
                Some(agreement) => provisioned = provisioned.with(component, Standing::Agrees(agreement)),
                None => errands.push((key, fingerprint)),
            }
        }
        if errands.is_empty() {
            return provisioned;
        }
        let components: Vec<Component> = errands.iter().map(|((_, component), _)| *component).collect();
        let outcomes = self.provisioner.run(platform, &components).await;
        self.count(platform, &components, &outcomes);
        for ((key, fingerprint), outcome) in errands.into_iter().zip(outcomes) {
            let component = key.1;
            self.learn(&key, &outcome);
            let mut proofs = self.lock();
            proofs.remove(&key);
            let standing = match outcome {
                Ok(agreement) => {
                    if agreement.ready {
                        let agreement = Agreement { changes: vec![], ..agreement.clone() };
                        let holds = if platform.is_external(component) { HOLDS_OF_OTHERS } else { HOLDS };
                        proofs.insert(key, Proof { fingerprint, at: Instant::now(), holds, agreement });
                    }
                    Standing::Agrees(agreement)
                }
                Err(refusal) => Standing::Disagrees(refusal),
            };
            provisioned = provisioned.with(component, standing);
        }
        provisioned
    }

    /// Forgets what is proven of a server, so that it is asked again.
    pub fn doubt(&self, platform: &Platform, component: Component) {
        self.lock().remove(&(platform.owner.uid.clone(), component));
    }

    /// Has the primary of the replica set, in `pod`, hand over to another member.
    pub async fn step_down(&self, platform: &Platform, pod: &str) -> Result<Agreement, Refusal> {
        // What is known of the set is not true any more, however this ends.
        self.doubt(platform, Component::MongoDb);
        self.provisioner.step_down(platform, pod).await
    }

    /// Pods, from ordinal 0 on, that the replica set of a platform counts on, if this process has ever asked it.
    #[must_use]
    pub fn mongodb_members(&self, uid: &str) -> Option<i32> {
        lock(&self.sets).get(uid)?.members
    }

    /// Whether the replica set of a platform took writes when this process last asked it.
    #[must_use]
    pub fn mongodb_serves(&self, uid: &str) -> bool {
        lock(&self.sets).get(uid).is_some_and(|set| set.serves)
    }

    /// Ids of the generations of credentials that each server accepts, and no others, as far as this process has made it agree.
    #[must_use]
    pub fn accepted(&self, uid: &str) -> BTreeMap<Component, Vec<String>> {
        let all = lock(&self.accepted);
        let of_platform = all.iter().filter(|((platform, _), _)| platform == uid);
        of_platform.map(|((_, component), generations)| (*component, generations.clone())).collect()
    }

    /// Forgets a platform that is no more.
    pub fn forget(&self, uid: &str) {
        lock(&self.accepted).retain(|(platform, _), _| platform != uid);
        self.lock().retain(|(platform, _), _| platform != uid);
        lock(&self.sets).remove(uid);
    }

    fn count(&self, platform: &Platform, components: &[Component], outcomes: &[Result<Agreement, Refusal>]) {
        let mut asked = components.iter().zip(outcomes);
        let Some((_, outcome)) = asked.find(|(component, _)| **component == Component::MongoDb) else { return };
        let mut sets = lock(&self.sets);
        let set = sets.entry(platform.owner.uid.clone()).or_default();
        let members = outcome.as_ref().map_or(&[][..], |agreement| &agreement.members);
        set.serves = outcome.as_ref().is_ok_and(|agreement| agreement.ready)
            || members.iter().any(|member| member.role == Role::Primary);
        if let Some(highest) = members.iter().filter_map(|member| workload::ordinal(&member.pod)).max() {
            set.members = Some(highest + 1);
        }
    }

    fn learn(&self, key: &(String, Component), outcome: &Result<Agreement, Refusal>) {
        let mut accepted = lock(&self.accepted);
        match outcome.as_ref().ok().and_then(|agreement| agreement.generations.clone()) {
            Some(generations) => accepted.insert(key.clone(), generations),
            None => accepted.remove(key),
        };
    }

    fn proof(&self, key: &(String, Component), fingerprint: &str, all_well: bool) -> Option<Agreement> {
        let proofs = self.lock();
        let proof = proofs.get(key)?;
        let holds = if all_well { proof.holds } else { proof.holds.min(HOLDS_IN_TROUBLE) };
        (proof.fingerprint == fingerprint && proof.at.elapsed() < holds).then(|| proof.agreement.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Component), Proof>> {
        lock(&self.proofs)
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole after any panic elsewhere.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A digest of all that a proof rests on: what was asked of the server, and which processes were asked.
fn fingerprint(platform: &Platform, observed: &Observed, component: Component) -> String {
    let material = &platform.material;
    let mut parts = vec![format!("{:?}", platform.names), format!("{:?}", platform.object_storage)];
    parts.extend(material.read_at_start(component.name()));
    parts.extend(material.external_connections());
    let users = |logins: Vec<Login>| {
        logins.into_iter().flat_map(|login| [login.password.expose_secret().to_owned(), login.user])
    };
    parts.extend(users(material.credentials.accepted(component)));
    parts.push("and no others:".to_owned());
    parts.extend(users(material.credentials.refused(component)));
    parts.extend(material.mongodb.own().map(|own| own.certificate.pem().to_owned()));
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
