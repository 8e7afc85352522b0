//! Provisioning by a program of its own.
//!
//! The clients of four servers are more code and memory than all the rest of the operator, and are needed for a second now and then.
//! So they are a program of their own, [`PROGRAM`], which the operator starts for each errand: it hands it the names and the Secrets
//! of the platform by standard input, and reads the answers from standard output. At rest none of it is in memory, and what goes
//! wrong in a client cannot harm the operator.

#[cfg(feature = "provision")]
mod serve;

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::build::{self, Component};
use crate::reason::Reason;
use crate::secrets::{Externals, Names};
use crate::validate::{Bucket, ObjectStorage, Platform};

#[cfg(feature = "provision")]
pub use serve::serve;

/// The program that does errands, in the folder of the operator's own.
pub const PROGRAM: &str = "provision";

/// The longest that one run against one server takes.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Longer than any server may take, so that each tells its own story.
const PATIENCE: Duration = Duration::from_secs(DEADLINE.as_secs() + 10);

/// What a server said after it was made to agree.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Agreement {
    /// Whether services can use it.
    pub ready: bool,
    /// For people, in the server's own words.
    pub message: String,
    /// What was changed in it, a sentence each.
    pub changes: Vec<String>,
    /// Its pods, as the server itself sees them; empty where it has but one.
    pub members: Vec<Member>,
    /// Ids of the generations of credentials that it accepts, and refuses those of before; none where that could not be brought about.
    #[serde(default)]
    pub generations: Option<Vec<String>>,
}

/// A pod of a server, as the server sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Member {
    /// Name of the pod.
    pub pod: String,
    /// What it does.
    pub role: Role,
    /// Whether it has all, or nearly all, that the primary has.
    pub caught_up: bool,
}

/// What a pod does among those of its server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows the primary.
    Secondary,
    /// It starts, recovers, or cannot be reached.
    Other,
}

/// Why a server does not agree.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The word for the condition's reason, the event's reason and the metric's label.
    pub category: Reason,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// Whether it lasts until somebody acts.
    pub is_final: bool,
}

/// Who runs the errands.
#[derive(Clone, Debug)]
pub struct Provisioner {
    program: PathBuf,
}

/// What is to be done, and all that is needed for it.
#[derive(Deserialize, Serialize)]
struct Errand {
    names: Names,
    secrets: Vec<Secret>,
    externals: Externals,
    bucket: Option<Bucket>,
    replica_set: ReplicaSet,
    /// The member of the replica set that shall be primary no more.
    step_down: Option<String>,
    components: Vec<String>,
}

/// What is known of the replica set beforehand.
#[derive(Default, Deserialize, Serialize)]
struct ReplicaSet {
    /// Pods that run, members or not.
    pods: u32,
    /// Whether it has ever served.
    established: bool,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    component: String,
    outcome: Result<Agreement, Refusal>,
}

impl Default for Provisioner {
    /// [`PROGRAM`], beside this one.
    fn default() -> Self {
        Self::new(env::current_exe().map_or_else(|_| PROGRAM.into(), |own| own.with_file_name(PROGRAM)))
    }
}

impl Provisioner {
    /// A program that does errands.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Makes the servers of a platform agree; the answers come in the order of `components`.
    pub async fn run(&self, platform: &Platform, components: &[Component]) -> Vec<Result<Agreement, Refusal>> {
        self.send(platform, components, None).await
    }

    /// Has the primary of the replica set, in `pod`, hand over to another member, and then makes the set agree.
    pub async fn step_down(&self, platform: &Platform, pod: &str) -> Result<Agreement, Refusal> {
        let answers = self.send(platform, &[Component::MongoDb], Some(pod.to_owned())).await;
        answers.into_iter().next().unwrap_or_else(|| Err(failed("it gave no answer")))
    }

    async fn send(
        &self,
        platform: &Platform,
        components: &[Component],
        step_down: Option<String>,
    ) -> Vec<Result<Agreement, Refusal>> {
        let errand = Errand {
            names: platform.names.clone(),
            secrets: build::secrets::build(platform),
            externals: platform.externals.clone(),
            bucket: match &platform.object_storage {
                ObjectStorage::Managed(_) => None,
                ObjectStorage::External(bucket) => Some(bucket.clone()),
            },
            replica_set: platform.mongodb.managed().map_or_else(ReplicaSet::default, |mongodb| ReplicaSet {
                pods: mongodb.pods.unsigned_abs(),
                established: mongodb.established,
            }),
            step_down,
            components: components.iter().map(|component| component.name().to_owned()).collect(),
        };
        let answers = match tokio::time::timeout(PATIENCE, self.ask(&errand)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(cause)) => return components.iter().map(|_| Err(failed(&cause))).collect(),
            Err(_) => return components.iter().map(|_| Err(failed("it took too long"))).collect(),
        };
        let of = |component: &Component| answers.iter().find(|answer| answer.component == component.name());
        components
            .iter()
            .map(|component| {
                of(component).map_or_else(|| Err(failed("it gave no answer")), |answer| answer.outcome.clone())
            })
            .collect()
    }

    async fn ask(&self, errand: &Errand) -> Result<Vec<Answer>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let errand = serde_json::to_vec(errand).map_err(|error| words(&error))?;
        let mut child = Command::new(&self.program)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| words(&error))?;
        if let Some(mut input) = child.stdin.take() {
            // It reads everything before it writes anything, so that neither waits for the other.
            input.write_all(&errand).await.map_err(|error| words(&error))?;
        }
        let output = child.wait_with_output().await.map_err(|error| words(&error))?;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| words(&error))
    }
}

fn failed(cause: &str) -> Refusal {
    Refusal {
        category: Reason::ProvisionerFailed,
        message: format!("the process that provisions failed: {cause}. It is tried again"),
        is_final: false,
    }
}
