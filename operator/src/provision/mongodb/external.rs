//! A replica set that somebody else runs: it is asked whether services can use it, and nothing in it is changed.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress, Tls};
use secrecy::ExposeSecret as _;

use super::member;
use super::trust::Trust;
use crate::provision::{Error, PATIENCE, Problem, Provisioning, Server, State, bounded};
use crate::secrets::Connection;

const REMEDY: &str = "Correct key uri of the Secret that spec.mongodb.external.connectionSecretRef names";
const UNREACHABLE: &str = "See that it runs, that it can be reached from within this cluster, and that keys uri and ca.crt of the Secret that \
                           spec.mongodb.external.connectionSecretRef names are right";

/// Asks the set that a connection string leads to.
#[must_use]
pub fn external(connection: &Connection) -> Provisioning<'_> {
    bounded(Server::MongoDb, ask(connection))
}

async fn ask(connection: &Connection) -> Result<State, Error> {
    let unusable = |fault: String| Error::Conflict {
        server: Server::MongoDb,
        address: "the connection string's hosts".to_owned(),
        fault,
        remedy: REMEDY.to_owned(),
    };
    // The driver's words for a string that it cannot read do not repeat it, but for the part that is wrong.
    let mut options = ClientOptions::parse(connection.uri.expose_secret())
        .await
        .map_err(|error| unusable(format!("cannot be found: {error}")))?;
    let trust = connection.authority.as_deref().map(Trust::new).transpose();
    let trust = trust.map_err(|cause| unusable(format!("cannot be verified by key ca.crt: {cause}")))?;
    if let Some(trust) = &trust {
        options.tls = Some(trusting(options.tls.take(), trust));
    }
    let address = options.hosts.iter().map(ServerAddress::to_string).collect::<Vec<_>>().join(",");
    let user = options.credential.as_ref().and_then(|credential| credential.username.clone()).unwrap_or_default();
    let client = member::client(options).map_err(|error| unusable(format!("cannot be used: {error}")))?;
    let answer = look(&client, &address, &user).await;
    member::shut_down(&client);
    answer
}

/// The options of the connection string, with the authority that its Secret holds.
fn trusting(options: Option<Tls>, trust: &Trust) -> Tls {
    match (options, trust.for_driver()) {
        (Some(Tls::Enabled(mut own)), Tls::Enabled(given)) => {
            own.ca_file_path = given.ca_file_path;
            Tls::Enabled(own)
        }
        (_, given) => given,
    }
}

async fn look(client: &Client, address: &str, user: &str) -> Result<State, Error> {
    let theirs = |problem, fault: String, remedy: &str| Error::Theirs {
        server: Server::MongoDb,
        address: address.to_owned(),
        problem,
        fault,
        remedy: remedy.to_owned(),
    };
    let ask = |action: &'static str, command: Document| async move {
        let admin = client.database("admin");
        match tokio::time::timeout(PATIENCE * 2, admin.run_command(command).into_future()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match member::failed(address, user, action, &error) {
                // The cures for our own servers, whose pods and credentials we have made, are none here.
                Error::AccessDenied { user, cause, .. } => {
                    theirs(Problem::AccessDenied, format!("refuses user {user}: {cause}"), REMEDY)
                }
                Error::Unreachable { cause, .. } => {
                    theirs(Problem::Unreachable, format!("does not answer: {cause}"), UNREACHABLE)
                }
                error => error,
            }),
            Err(_) => Err(Error::TimedOut { server: Server::MongoDb }),
        }
    };
    ask("answer a ping", doc! {"ping": 1}).await?;
    let hello = ask("ask for the primary", doc! {"hello": 1}).await?;
    let build = ask("tell its version", doc! {"buildInfo": 1}).await?;
    let Ok(set) = hello.get_str("setName") else {
        return Err(Error::Conflict {
            server: Server::MongoDb,
            address: address.to_owned(),
            fault: "is no replica set, which change streams and transactions need".to_owned(),
            remedy: "Make it one, if only of one member, or name another".to_owned(),
        });
    };
    let hosts = hello.get_array("hosts").map_or(0, Vec::len);
    let primary = hello.get_str("primary").unwrap_or_default();
    let ready = hello.get_bool("isWritablePrimary").unwrap_or(false);
    Ok(State {
        ready,
        version: build.get_str("version").ok().map(str::to_owned),
        message: if ready {
            format!("replica set {set} of {hosts} members takes writes at {primary}")
        } else {
            format!("replica set {set} has no primary that takes writes")
        },
        ..State::default()
    })
}
