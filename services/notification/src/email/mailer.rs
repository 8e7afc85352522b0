//! The way to the mail server.

use std::{io, path::PathBuf, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{
        PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use tokio::{fs, sync::Mutex, time::timeout};

use crate::settings::{Email, Encryption};

/// How long handing over one letter may take, connecting included.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection without work is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why a letter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server refuses this letter for good (a 5xx reply about it, such as an unknown mailbox).
    #[error("the mail server refuses it: {0}")]
    Refused(#[source] lettre::transport::smtp::Error),
    /// The server is away, busy, or refuses us as a client: the same letter may pass later.
    #[error("the mail server does not take it: {0}")]
    Unavailable(#[source] lettre::transport::smtp::Error),
    /// The server did not answer in time.
    #[error("the mail server did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// The credentials cannot be read.
    #[error("the credentials in {path}: {source}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;
type Login = Option<(String, String)>;

/// Hands letters to the mail server, over a few connections that it keeps. Credentials are read again for each letter, so that a
/// rotated password needs no restart.
#[derive(Debug)]
pub struct Mailer {
    settings: Email,
    host: String,
    current: Mutex<Option<(Login, Transport)>>,
}

impl Mailer {
    /// A way to the server `host` of `settings`; connects when there is something to send.
    #[must_use]
    pub fn new(host: &str, settings: &Email) -> Self {
        Self { settings: settings.clone(), host: host.to_owned(), current: Mutex::new(None) }
    }

    /// Hands a letter over. When this returns, the server has taken responsibility for it.
    pub async fn send(&self, letter: Message) -> Result<(), SendError> {
        let transport = self.transport().await?;
        match timeout(PATIENCE, transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_about_the_letter(&error) => Err(SendError::Refused(error)),
            Ok(Err(error)) => Err(SendError::Unavailable(error)),
            Err(_) => Err(SendError::Slow),
        }
    }

    async fn transport(&self) -> Result<Transport, SendError> {
        let login = self.login().await?;
        let mut current = self.current.lock().await;
        if let Some((used, transport)) = &*current
            && *used == login
        {
            return Ok(transport.clone());
        }
        let transport = self.build(login.clone()).map_err(SendError::Unavailable)?;
        *current = Some((login, transport.clone()));
        Ok(transport)
    }

    async fn login(&self) -> Result<Login, SendError> {
        match (&self.settings.username_file, &self.settings.password_file) {
            (Some(username), Some(password)) => Ok(Some((read(username).await?, read(password).await?))),
            _ => Ok(None),
        }
    }

    fn build(&self, login: Login) -> Result<Transport, lettre::transport::smtp::Error> {
        let tls = match self.settings.tls {
            Encryption::None => Tls::None,
            Encryption::Starttls => Tls::Required(TlsParameters::new(self.host.clone())?),
            Encryption::Implicit => Tls::Wrapper(TlsParameters::new(self.host.clone())?),
        };
        let mut builder = Transport::builder_dangerous(&self.host)
            .port(self.settings.port)
            .tls(tls)
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(self.settings.connections).idle_timeout(IDLE));
        if let Some((username, password)) = login {
            builder = builder.credentials(Credentials::new(username, password));
        }
        Ok(builder.build())
    }
}

async fn read(path: &PathBuf) -> Result<String, SendError> {
    let text =
        fs::read_to_string(path).await.map_err(|source| SendError::Credentials { path: path.clone(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A permanent refusal concerns the letter, unless it is about logging in (RFC 4954, section 6): the next letter would fare no better,
/// and this one will pass once the credentials are right.
fn is_about_the_letter(error: &lettre::transport::smtp::Error) -> bool {
    error.is_permanent() && error.status().map(u16::from).is_some_and(|code| !(530..=538).contains(&code))
}
