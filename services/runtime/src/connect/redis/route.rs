//! How a connection gets to the master: straight to the only server, or to the one that the sentinels name.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, TlsCertificates, Value};
use contract::redis_url::{RedisUrl, SentinelUrl};

use super::sentinels::{Sentinels, View};
use crate::config;
use crate::connect::credential::{Credential, Source};
use crate::connect::{ConnectError, secret};

/// How long a server may take to be found and to let us in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to answer; a command of ours takes well under a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the master, as the URL file has it.
pub(super) struct Route {
    authority_file: Option<PathBuf>,
    source: Source,
    credential: Credential,
    kind: Kind,
}

enum Kind {
    Server(Client),
    Sentinels { url: SentinelUrl, authority: Option<Vec<u8>>, sentinels: Sentinels },
}

/// How a connection was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the only server there is.
    Straight,
    /// To the master that sentinels named.
    Named(View),
}

impl Way {
    /// Whether the server has others beside it.
    pub(super) fn is_to_one_of_several(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Whether it leads to the same server.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Straight, Self::Straight) => true,
            (Self::Named(one), Self::Named(other)) => one.is_same_server(other),
            _ => false,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Straight => f.write_str("the only one"),
            Self::Named(view) => write!(f, "{}:{}", view.host, view.port),
        }
    }
}

impl Route {
    pub(super) fn load(settings: &config::Redis) -> Result<Self, ConnectError> {
        let source = Source::new(&settings.url_file);
        let credential = source.read()?;
        Self::by(credential, source, settings.authority_file.clone())
    }

    fn by(credential: Credential, source: Source, authority_file: Option<PathBuf>) -> Result<Self, ConnectError> {
        let kind = Kind::new(&credential.text, authority_file.as_ref())?;
        Ok(Self { authority_file, source, credential, kind })
    }

    /// The way as the file has it by now.
    pub(super) fn another(&self, credential: Credential) -> Result<Self, ConnectError> {
        Self::by(credential, self.source.clone(), self.authority_file.clone())
    }

    /// What it goes by.
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Where that comes from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Connects to the master.
    pub(super) async fn open(&mut self) -> RedisResult<(Client, MultiplexedConnection, Way)> {
        self.reload();
        match &mut self.kind {
            Kind::Server(client) => Ok((client.clone(), connect(client).await?, Way::Straight)),
            Kind::Sentinels { url, authority, sentinels } => {
                let mut last = None;
                for view in sentinels.candidates().await? {
                    let client = client(&url.server(&view.host, view.port), authority.as_deref())?;
                    match connect_to_master(&client).await {
                        Ok(connection) => return Ok((client, connection, Way::Named(view))),
                        Err(error) => last = Some(unusable(&view, &error)),
                    }
                }
                Err(last.unwrap_or_else(|| Sentinels::silent("none of them has been asked yet")))
            }
        }
    }

    /// Waits until another try may go better than the last one.
    pub(super) async fn changed(&mut self) {
        match &mut self.kind {
            Kind::Server(_) => std::future::pending().await,
            Kind::Sentinels { sentinels, .. } => sentinels.changed().await,
        }
    }

    /// Waits until the master is known to be elsewhere.
    pub(super) async fn left(&mut self, way: &Way) {
        match (&mut self.kind, way) {
            (Kind::Sentinels { sentinels, .. }, Way::Named(view)) => sentinels.left(view).await,
            _ => std::future::pending().await,
        }
    }

    /// Whether the server of a connection is still master. The only server there is always is.
    pub(super) async fn leads_to_master(&self, connection: &mut MultiplexedConnection) -> bool {
        match self.kind {
            Kind::Server(_) => true,
            Kind::Sentinels { .. } => is_master(connection).await.unwrap_or(false),
        }
    }

    /// Whether the sentinels are to be asked often, because there is no connection.
    pub(super) fn hurry(&self, hurry: bool) {
        if let Kind::Sentinels { sentinels, .. } = &self.kind {
            sentinels.hurry(hurry);
        }
    }

    /// Goes by the file's present content. What cannot be used is logged, and the old way stays.
    fn reload(&mut self) {
        let fresh = self
            .source
            .read()
            .and_then(|credential| (credential != self.credential).then(|| self.another(credential)).transpose());
        match fresh {
            Ok(None) => {}
            Ok(Some(fresh)) => {
                tracing::info!("the URL of Redis has changed");
                *self = fresh;
            }
            Err(error) => {
                tracing::warn!(error = crate::telemetry::chain(&error), "the URL of Redis cannot be read again");
            }
        }
    }
}

impl Kind {
    fn new(url: &str, authority_file: Option<&PathBuf>) -> Result<Self, ConnectError> {
        let authority = authority_file.map(|path| secret(path)).transpose()?.map(String::into_bytes);
        Ok(match url.parse()? {
            RedisUrl::Server(url) => Self::Server(client(&url, authority.as_deref())?),
            RedisUrl::Sentinels(url) => {
                let clients = url
                    .sentinels()
                    .map(|(host, url)| Ok((host.to_owned(), client(&url, authority.as_deref())?)))
                    .collect::<RedisResult<Vec<_>>>()?;
                let sentinels = Sentinels::attend(url.master(), clients);
                Self::Sentinels { url, authority, sentinels }
            }
        })
    }
}

fn client(url: &str, authority: Option<&[u8]>) -> RedisResult<Client> {
    match authority {
        Some(authority) if url.starts_with("rediss://") => {
            Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(authority.to_vec()) })
        }
        _ => Client::open(url),
    }
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let timing = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&timing).await
}

async fn connect_to_master(client: &Client) -> RedisResult<MultiplexedConnection> {
    let mut connection = connect(client).await?;
    if is_master(&mut connection).await? {
        Ok(connection)
    } else {
        Err(std::io::Error::other("it is a replica").into())
    }
}

/// By HELLO, for neither ROLE nor INFO is for services.
async fn is_master(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    let about: HashMap<String, Value> = ::redis::cmd("HELLO").query_async(connection).await?;
    let role = about.get("role").cloned().map(::redis::from_redis_value::<String>).transpose()?;
    Ok(role.as_deref() == Some("master"))
}

fn unusable(view: &View, error: &RedisError) -> RedisError {
    let View { host, port, .. } = view;
    std::io::Error::other(format!("the sentinels name {host}:{port} as master, which cannot be used: {error}")).into()
}
