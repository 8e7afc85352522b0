//! The provision step, and what it has proven: a server is logged in to only when something about it has changed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use crate::build::{Component, workload};
use crate::observe::Observed;
use crate::provision::{Error, State, mongodb, object_storage, rabbitmq, redis};
use crate::validate::Platform;

/// How long a proof holds while nothing changes that the cluster tells of. After that the server is asked again, in case
/// somebody has changed it by hand.
const HOLDS: Duration = Duration::from_secs(10 * 60);

/// What is known of a server.
#[derive(Debug)]
pub enum Standing {
    /// None of its pods is ready, so there is nobody to ask.
    Waiting,
    /// It was made to agree, and said this.
    Agrees(State),
    /// It does not agree.
    Disagrees(Error),
}

impl Standing {
    /// Whether services can use it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Agrees(state) if state.ready)
    }
}

/// What is known of each server that holds data.
#[derive(Debug)]
pub struct Provisioned {
    /// MongoDB.
    pub mongodb: Standing,
    /// Redis.
    pub redis: Standing,
    /// `RabbitMQ`.
    pub rabbitmq: Standing,
    /// The S3 store.
    pub object_storage: Standing,
}

impl Provisioned {
    /// What is known of a component; none for those that hold no data.
    #[must_use]
    pub fn of(&self, component: Component) -> Option<&Standing> {
        match component {
            Component::MongoDb => Some(&self.mongodb),
            Component::Redis => Some(&self.redis),
            Component::RabbitMq => Some(&self.rabbitmq),
            Component::ObjectStorage => Some(&self.object_storage),
            _ => None,
        }
    }

    /// What this run has changed in the servers, a sentence each.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        Component::DATA
            .into_iter()
            .filter_map(|component| match self.of(component) {
                Some(Standing::Agrees(state)) if !state.changes.is_empty() => {
                    Some(format!("{}: {}", component.name(), state.changes.join(", ")))
                }
                _ => None,
            })
            .collect()
    }

    /// The first server that refuses to agree.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        Component::DATA.into_iter().find_map(|component| match self.of(component) {
            Some(Standing::Disagrees(error)) => Some(error),
            _ => None,
        })
    }
}

/// What has been proven, by platform and server.
#[derive(Debug, Default)]
pub struct Proven {
    proofs: Mutex<HashMap<(String, Component), Proof>>,
}

#[derive(Clone, Debug)]
struct Proof {
    fingerprint: String,
    at: Instant,
    state: State,
}

impl Proven {
    /// Makes every server that has a ready pod agree, unless that is proven already.
    pub async fn provision(&self, platform: &Platform, observed: &Observed) -> Provisioned {
        let (names, material) = (&platform.names, &platform.material);
        let (mongodb, redis, rabbitmq, object_storage) = tokio::join!(
            self.one(platform, observed, Component::MongoDb, async || {
                mongodb::provision(&mongodb::Target::new(names, material)).await
            }),
            self.one(platform, observed, Component::Redis, async || {
                redis::provision(&redis::Target::new(names, material)).await
            }),
            self.one(platform, observed, Component::RabbitMq, async || {
                rabbitmq::provision(&rabbitmq::Target::new(names, material)).await
            }),
            self.one(platform, observed, Component::ObjectStorage, async || {
                object_storage::provision(&object_storage::Target::new(names, material)).await
            }),
        );
        Provisioned { mongodb, redis, rabbitmq, object_storage }
    }

    /// Forgets a platform that is no more.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|(platform, _), _| platform != uid);
    }

    async fn one(
        &self,
        platform: &Platform,
        observed: &Observed,
        component: Component,
        provision: impl AsyncFnOnce() -> Result<State, Error>,
    ) -> Standing {
        let key = (platform.owner.uid.clone(), component);
        if !observed.pods_of(component).any(is_ready) {
            self.lock().remove(&key);
            return Standing::Waiting;
        }
        let fingerprint = fingerprint(platform, observed, component);
        if let Some(proof) = self.lock().get(&key)
            && proof.fingerprint == fingerprint
            && proof.at.elapsed() < HOLDS
        {
            return Standing::Agrees(State { changes: vec![], ..proof.state.clone() });
        }
        let outcome = provision().await;
        let mut proofs = self.lock();
        proofs.remove(&key);
        match outcome {
            Ok(state) => {
                if state.ready {
                    proofs.insert(key, Proof { fingerprint, at: Instant::now(), state: state.clone() });
                }
                Standing::Agrees(state)
            }
            Err(error) => Standing::Disagrees(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Component), Proof>> {
        // A map is whole after any panic elsewhere.
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a pod takes requests.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
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
    let mut processes: Vec<_> = observed
        .pods_of(component)
        .map(|pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let restarts: i32 = statuses.into_iter().flatten().map(|status| status.restart_count).sum();
            format!("{} {} {restarts} {}", pod.name_any(), pod.uid().unwrap_or_default(), is_ready(pod))
        })
        .collect();
    processes.sort_unstable();
    parts.append(&mut processes);
    workload::digest(parts.iter().map(String::as_str))
}
