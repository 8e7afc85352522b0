//! Servers that several test processes share.

use std::thread;

use anyhow::{Result, anyhow};

use crate::{MongoDb, ObjectStorage, RabbitMq, Redis, Smtp, mongodb, object_storage, rabbitmq, redis, smtp};

/// Starts one server of each kind, side by side, and returns the environment variables by which
/// `shared()` of another process finds them. They live as long as this process.
pub fn announce() -> Result<Vec<(&'static str, String)>> {
    let servers = [
        thread::spawn(|| vec![(mongodb::URI, MongoDb::shared().uri())]),
        thread::spawn(|| vec![(redis::URL, Redis::shared().url())]),
        thread::spawn(|| {
            let server = RabbitMq::shared();
            vec![(rabbitmq::URI, server.uri_of("/")), (rabbitmq::MANAGEMENT_URL, server.management_url())]
        }),
        thread::spawn(|| vec![(object_storage::ENDPOINT, ObjectStorage::shared().endpoint())]),
        thread::spawn(|| {
            let server = Smtp::shared();
            vec![(smtp::ADDRESS, server.address()), (smtp::MESSAGES_URL, server.messages_url())]
        }),
    ];
    let mut variables = Vec::new();
    for server in servers {
        variables.extend(server.join().map_err(|panic| {
            let reason = panic.downcast_ref::<String>().cloned();
            anyhow!(reason.unwrap_or_else(|| "a server did not start".to_owned()))
        })?);
    }
    Ok(variables)
}
