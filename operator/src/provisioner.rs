//! Provisioning by a program of its own.
//!
//! The clients of four servers are more code and memory than all the rest of the operator, and are needed for a second now and then.
//! So they are a program of their own, [`PROGRAM`], which the operator starts for each errand: it hands it the names and the Secrets
//! of the platform by standard input, and reads the answers from standard output. At rest none of it is in memory, and what goes
//! wrong in a client cannot harm the operator.

use std::env;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::build::{self, Component};
use crate::provision::{self, DEADLINE, Member, mongodb, object_storage, rabbitmq, redis};
use crate::reason::Reason;
use crate::secrets::{Existing, Externals, Material, Names, Supply};
use crate::validate::{Bucket, ObjectStorage, Platform};

/// The program that does errands, in the folder of the operator's own.
pub const PROGRAM: &str = "provision";

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

/// Why an errand could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read, or the answers not be written.
    #[error("cannot read the errand or write the answers: {0}")]
    Io(#[from] std::io::Error),
    /// It is no errand.
    #[error("cannot understand the errand: {0}")]
    Json(#[from] serde_json::Error),
    /// The Secrets are not whole.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
}

/// Does the errand that stands on standard input: the other side of [`Provisioner`].
pub async fn serve() -> Result<(), Error> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    let errand: Errand = serde_json::from_slice(&text)?;
    drop(text);
    // Complete as they are, so that nothing is made anew here.
    let existing = Existing::new(errand.secrets.iter().cloned()).with_data_stored(true);
    let material = Material::complete(&existing, &errand.externals, &errand.names, &mut rand::rng(), Timestamp::now())?;
    let components = errand.components.iter().filter_map(|name| Component::from_name(name));
    let answers = futures::future::join_all(components.map(|component| one(component, &errand, &material))).await;
    std::io::stdout().write_all(&serde_json::to_vec(&answers)?)?;
    Ok(())
}

async fn one(component: Component, errand: &Errand, material: &Material) -> Answer {
    let names = &errand.names;
    let outcome = match component {
        Component::MongoDb => match &material.mongodb {
            Supply::Own(own) => {
                let ReplicaSet { pods, established } = errand.replica_set;
                let mut target = mongodb::Target::new(names, pods, own, &material.authority);
                target.established = established;
                target.step_down.clone_from(&errand.step_down);
                mongodb::provision(&target).await
            }
            Supply::External(connection) => mongodb::external(connection).await,
        },
        Component::Redis => match &material.redis {
            Supply::Own(own) => redis::provision(&redis::Target::new(names, own)).await,
            Supply::External(connection) => redis::external(connection).await,
        },
        Component::RabbitMq => match &material.rabbitmq {
            Supply::Own(own) => rabbitmq::provision(&rabbitmq::Target::new(names, own)).await,
            Supply::External(connection) => rabbitmq::external(connection).await,
        },
        Component::ObjectStorage => {
            let target = object_storage::Target::new(names, &material.object_storage, errand.bucket.as_ref());
            object_storage::provision(&target).await
        }
        // Nobody sends for these: there is nothing to agree on.
        _ => Ok(provision::State { ready: true, ..provision::State::default() }),
    };
    let outcome = match outcome {
        Ok(state) => {
            Ok(Agreement { ready: state.ready, message: state.message, changes: state.changes, members: state.members })
        }
        Err(error) => Err(Refusal { category: error.category(), message: error.told(), is_final: error.is_final() }),
    };
    Answer { component: component.name().to_owned(), outcome }
}
