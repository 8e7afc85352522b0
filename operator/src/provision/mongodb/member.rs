use std::io;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress, ServerMonitoringMode};
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;

use super::access::Access;
use super::trust;
use crate::provision::{Error, PATIENCE, Server};
use crate::secrets::Login;

/// How long a member may take to answer: longer than it is told to wait for the others ([`PATIENCE`]), so that it tells itself.
const ANSWER: Duration = Duration::from_secs(PATIENCE.as_secs() + 2);
const SYSTEM: &str = "__system";
const AUTHENTICATION_FAILED: i32 = 18;
const UNAUTHORIZED: i32 = 13;
const NOT_YET_INITIALIZED: i32 = 94;
const INVALID_REPLICA_SET_CONFIG: i32 = 93;

/// A direct connection to one member, closed when dropped.
pub(super) struct Member {
    address: String,
    user: String,
    client: Client,
    certificate: Option<CertificateDer<'static>>,
}

/// What a member knows of a replica set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing: it is empty, and nobody has told it of a set.
    Fresh,
    /// It has a set's data, and the configuration it knows does not name it.
    Removed,
    /// It is one of a set.
    Belongs,
}

impl Member {
    /// Logs in as the cluster itself.
    pub(super) async fn open(address: &str, access: &Access) -> Result<Self, Error> {
        // Asked first: the driver would try again and again, and tell at length of what is wrong in one word.
        let certificate = match access.trust() {
            Some(trust) => trust.certificate(address).await.map(Some),
            None => trust::listens(address).await.map(|()| None),
        };
        let certificate = certificate.map_err(|cause| unreachable(address, cause))?;
        let member = Self::connect(address, SYSTEM, "local", access.key().to_owned(), access, certificate)?;
        member.admin("answer a ping", doc! {"ping": 1}).await?;
        Ok(member)
    }

    /// Whether a service could log in with this password.
    pub(super) async fn accepts(&self, login: &Login, access: &Access) -> Result<bool, Error> {
        let password = login.password.expose_secret().to_owned();
        let member = Self::connect(&self.address, &login.user, "admin", password, access, None)?;
        match member.admin("answer a ping", doc! {"ping": 1}).await {
            Ok(_) => Ok(true),
            Err(Error::AccessDenied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The certificate that it showed when the connection was opened.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_ref()
    }

    /// What it knows of a replica set, which must not be another than `set`.
    pub(super) async fn standing(&self, set: &str) -> Result<Standing, Error> {
        let (name, standing) = match self.command(doc! {"replSetGetStatus": 1}).await {
            Ok(status) => (status.get_str("set").ok().map(str::to_owned), Standing::Belongs),
            Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => return Ok(Standing::Fresh),
            Err(error) if code(&error) == Some(INVALID_REPLICA_SET_CONFIG) => {
                let answer = self.admin("tell its configuration", doc! {"replSetGetConfig": 1}).await?;
                let name = answer.get_document("config").and_then(|config| config.get_str("_id"));
                (name.ok().map(str::to_owned), Standing::Removed)
            }
            Err(error) => return Err(self.failed("tell the state of the set", &error)),
        };
        match name {
            Some(name) if name != set => Err(self.conflict(
                format!("belongs to the replica set {name}, not to {set}"),
                "Its volume holds another set's data: give this platform volumes of its own",
            )),
            _ => Ok(standing),
        }
    }

    /// The version of the server, such as 6.0.5.
    pub(super) async fn version(&self) -> Result<String, Error> {
        let build = self.admin("tell its version", doc! {"buildInfo": 1}).await?;
        Ok(build.get_str("version").unwrap_or_default().to_owned())
    }

    /// Runs a command on database `admin`; `action` says what for, after "failed to".
    pub(super) async fn admin(&self, action: &str, command: Document) -> Result<Document, Error> {
        self.command(command).await.map_err(|error| self.failed(action, &error))
    }

    /// The same, for whoever looks at the error's code.
    pub(super) async fn command(&self, command: Document) -> Result<Document, DriverError> {
        self.command_within(ANSWER, command).await
    }

    /// The same, for what may take its time.
    pub(super) async fn command_within(&self, limit: Duration, command: Document) -> Result<Document, DriverError> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
        let admin = self.client.database("admin");
        tokio::time::timeout(limit, admin.run_command(command).into_future())
            .await
            .unwrap_or_else(|_| Err(late().into()))
    }

    pub(super) fn conflict(&self, fault: impl Into<String>, remedy: &str) -> Error {
        Error::Conflict {
            server: Server::MongoDb,
            address: self.address.clone(),
            fault: fault.into(),
            remedy: remedy.to_owned(),
        }
    }

    pub(super) fn failed(&self, action: &str, error: &DriverError) -> Error {
        failed(&self.address, &self.user, action, error)
    }

    fn connect(
        address: &str,
        user: &str,
        source: &str,
        password: String,
        access: &Access,
        certificate: Option<CertificateDer<'static>>,
    ) -> Result<Self, Error> {
        let failed = |error: &DriverError| unreachable(address, error.to_string());
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::parse(address).map_err(|error| failed(&error))?];
        options.direct_connection = Some(true);
        options.tls = access.trust().map(trust::Trust::for_driver);
        options.retry_reads = Some(false);
        options.retry_writes = Some(false);
        options.credential = Some(
            Credential::builder()
                .username(user.to_owned())
                .password(password)
                .source(source.to_owned())
                .mechanism(AuthMechanism::ScramSha256)
                .build(),
        );
        let client = client(options).map_err(|error| failed(&error))?;
        Ok(Self { address: address.to_owned(), user: user.to_owned(), client, certificate })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        shut_down(&self.client);
    }
}

/// A client for one run.
pub(super) fn client(mut options: ClientOptions) -> Result<Client, DriverError> {
    options.app_name = Some("chatplatform-operator".to_owned());
    options.connect_timeout = Some(PATIENCE);
    options.server_selection_timeout = Some(PATIENCE);
    options.max_pool_size = Some(1);
    // One run is over before a second heartbeat is due, and polling saves a connection that would only measure times.
    options.heartbeat_freq = Some(Duration::from_mins(1));
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    Client::with_options(options)
}

/// The driver keeps its monitors and connections until it is told to stop.
pub(super) fn shut_down(client: &Client) {
    let client = client.clone();
    tokio::spawn(async move { client.shutdown().immediate(true).await });
}

/// What went wrong between us and the server at `address`, where we are `user`.
pub(super) fn failed(address: &str, user: &str, action: &str, error: &DriverError) -> Error {
    let (server, address, cause) = (Server::MongoDb, address.to_owned(), error.to_string());
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => Error::AccessDenied { server, address, user: user.to_owned(), cause },
        ErrorKind::Command(command) if matches!(command.code, AUTHENTICATION_FAILED | UNAUTHORIZED) => {
            Error::AccessDenied { server, address, user: user.to_owned(), cause }
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

fn unreachable(address: &str, cause: String) -> Error {
    Error::Unreachable { server: Server::MongoDb, address: address.to_owned(), cause }
}

/// The server's number for an error of its own.
pub(super) fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
