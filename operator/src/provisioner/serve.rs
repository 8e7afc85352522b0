//! The other side: the errand is done, by the clients of the servers.

use std::io::{Read as _, Write as _};

use jiff::Timestamp;

use super::{Agreement, Answer, Errand, Refusal, ReplicaSet};
use crate::build::Component;
use crate::provision::{self, mongodb, object_storage, rabbitmq, redis};
use crate::secrets::rotation::Ring as _;
use crate::secrets::{Existing, Material, Supply};

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

/// Does the errand that stands on standard input: the other side of [`super::Provisioner`].
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
                let mut target = mongodb::Target::new(names, pods, own, material);
                target.established = established;
                target.step_down.clone_from(&errand.step_down);
                mongodb::provision(&target).await
            }
            Supply::External(connection) => mongodb::external(connection).await,
        },
        Component::Redis => match &material.redis {
            Supply::Own(own) => redis::provision(&redis::Target::new(names, own, &material.credentials)).await,
            Supply::External(connection) => redis::external(connection).await,
        },
        Component::RabbitMq => match &material.rabbitmq {
            Supply::Own(own) => rabbitmq::provision(&rabbitmq::Target::new(names, own, &material.credentials)).await,
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
        Ok(state) => Ok(Agreement {
            generations: state.users_agree.then(|| material.credentials.ids().into_iter().map(str::to_owned).collect()),
            ready: state.ready,
            message: state.message,
            changes: state.changes,
            members: state.members,
        }),
        Err(error) => Err(Refusal { category: error.category(), message: error.told(), is_final: error.is_final() }),
    };
    Answer { component: component.name().to_owned(), outcome }
}
