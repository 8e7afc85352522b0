use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress};
use secrecy::{ExposeSecret, SecretString};

use crate::provision::{Error, PATIENCE, Server};
use crate::secrets::Login;

const SYSTEM: &str = "__system";
const AUTHENTICATION_FAILED: i32 = 18;
const UNAUTHORIZED: i32 = 13;
const NOT_YET_INITIALIZED: i32 = 94;

/// A direct connection to one member, closed when dropped.
pub(super) struct Member {
    address: String,
    user: String,
    client: Client,
}

impl Member {
    /// Logs in as the cluster itself.
    pub(super) async fn open(address: &str, key_file: &SecretString) -> Result<Self, Error> {
        // The server leaves white space out of a key file (manual, "Keyfile authentication").
        let key: String = key_file.expose_secret().split_whitespace().collect();
        let member = Self::connect(address, SYSTEM, "local", key)?;
        member.admin("answer a ping", doc! {"ping": 1}).await?;
        Ok(member)
    }

    /// Whether a service could log in with this password.
    pub(super) async fn accepts(&self, login: &Login) -> Result<bool, Error> {
        let member = Self::connect(&self.address, &login.user, "admin", login.password.expose_secret().to_owned())?;
        match member.admin("answer a ping", doc! {"ping": 1}).await {
            Ok(_) => Ok(true),
            Err(Error::AccessDenied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Name of the replica set it belongs to, if any.
    pub(super) async fn replica_set(&self) -> Result<Option<String>, Error> {
        match self.client.database("admin").run_command(doc! {"replSetGetStatus": 1}).await {
            Ok(status) => Ok(status.get_str("set").ok().map(str::to_owned)),
            Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => Ok(None),
            Err(error) => Err(self.failed("tell the state of the set", &error)),
        }
    }

    /// Runs a command on database `admin`; `action` says what for, after "failed to".
    pub(super) async fn admin(&self, action: &str, command: Document) -> Result<Document, Error> {
        self.client.database("admin").run_command(command).await.map_err(|error| self.failed(action, &error))
    }

    pub(super) fn conflict(&self, fault: String, remedy: &str) -> Error {
        Error::Conflict { server: Server::MongoDb, address: self.address.clone(), fault, remedy: remedy.to_owned() }
    }

    fn connect(address: &str, user: &str, source: &str, password: String) -> Result<Self, Error> {
        let failed = |error: &DriverError| Error::Unreachable {
            server: Server::MongoDb,
            address: address.to_owned(),
            cause: error.to_string(),
        };
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::parse(address).map_err(|error| failed(&error))?];
        options.app_name = Some("chatplatform-operator".to_owned());
        options.direct_connection = Some(true);
        options.connect_timeout = Some(PATIENCE);
        options.server_selection_timeout = Some(PATIENCE);
        options.max_pool_size = Some(1);
        options.retry_reads = Some(false);
        options.retry_writes = Some(false);
        // One run is over before a second heartbeat is due.
        options.heartbeat_freq = Some(Duration::from_mins(1));
        options.credential = Some(
            Credential::builder()
                .username(user.to_owned())
                .password(password)
                .source(source.to_owned())
                .mechanism(AuthMechanism::ScramSha256)
                .build(),
        );
        let client = Client::with_options(options).map_err(|error| failed(&error))?;
        Ok(Self { address: address.to_owned(), user: user.to_owned(), client })
    }

    fn failed(&self, action: &str, error: &DriverError) -> Error {
        let (server, address, cause) = (Server::MongoDb, self.address.clone(), error.to_string());
        match error.kind.as_ref() {
            ErrorKind::Authentication { .. } => Error::AccessDenied { server, address, user: self.user.clone(), cause },
            ErrorKind::Command(command) if matches!(command.code, AUTHENTICATION_FAILED | UNAUTHORIZED) => {
                Error::AccessDenied { server, address, user: self.user.clone(), cause }
            }
            ErrorKind::Command(command) => Error::Failed {
                server,
                address,
                action: action.to_owned(),
                cause: format!("{} ({})", command.message, command.code_name),
            },
            ErrorKind::ServerSelection { .. }
            | ErrorKind::Io(_)
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::ConnectionPoolCleared { .. } => Error::Unreachable { server, address, cause },
            _ => Error::Failed { server, address, action: action.to_owned(), cause },
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let client = self.client.clone();
        // The driver keeps its monitors and connections until it is told to stop.
        tokio::spawn(async move { client.shutdown().immediate(true).await });
    }
}

fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
