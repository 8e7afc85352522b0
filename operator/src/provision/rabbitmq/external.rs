//! A broker that somebody else runs: a connection and a channel, as a service opens them. Nothing in it is touched.

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection as Amqp, ConnectionProperties, ErrorKind};
use secrecy::ExposeSecret;

use crate::provision::{Error, PATIENCE, Problem, Provisioning, Server, State, bounded, with_causes};
use crate::secrets::Connection;

/// Who the broker's own overview says we are.
const NAME: &str = "chatplatform-operator";

/// Asks the broker for a channel.
#[must_use]
pub fn external(connection: &Connection) -> Provisioning<'_> {
    bounded(Server::RabbitMq, run(connection))
}

async fn run(connection: &Connection) -> Result<State, Error> {
    let uri: AMQPUri = connection.uri.expose_secret().parse().map_err(|_| Error::Conflict {
        server: Server::RabbitMq,
        address: "the place that its Secret names".to_owned(),
        fault: "cannot be looked for: key uri is no AMQP URI".to_owned(),
        remedy: "Write amqp://user:password@host:5672/virtual-host into it, or amqps://...:5671/..., with reserved characters \
                 percent-encoded"
            .to_owned(),
    })?;
    let place = Place {
        address: format!("{}:{}", uri.authority.host, uri.authority.port),
        user: uri.authority.userinfo.username.clone(),
        virtual_host: uri.vhost.clone(),
    };
    match tokio::time::timeout(PATIENCE, open(uri, connection.authority.clone())).await {
        Ok(Ok(())) => Ok(State {
            ready: true,
            message: format!("opens channels in virtual host {:?} at {}", place.virtual_host, place.address),
            ..State::default()
        }),
        Ok(Err(error)) => Err(place.refused(&error)),
        Err(_) => Err(place.error(
            Problem::Unreachable,
            format!("does not answer within {} s", PATIENCE.as_secs()),
            "See that it runs and that this cluster may reach it",
        )),
    }
}

async fn open(uri: AMQPUri, authority: Option<String>) -> lapin::Result<()> {
    let properties = ConnectionProperties::default().with_connection_name(NAME.into());
    let trusted = OwnedTLSConfig { identity: None, cert_chain: authority };
    let runtime = lapin::runtime::default_runtime()?;
    let connection = Amqp::connect_uri_with_config(uri, properties, trusted, runtime).await?;
    let channel = connection.create_channel().await?;
    channel.close(200, "seen".into()).await?;
    connection.close(200, "seen".into()).await
}

/// Where the broker was looked for, without the password.
struct Place {
    address: String,
    user: String,
    virtual_host: String,
}

impl Place {
    fn refused(&self, error: &lapin::Error) -> Error {
        let words = with_causes(error);
        match error.kind() {
            ErrorKind::ProtocolError(_) => self.error(
                Problem::AccessDenied,
                format!("refuses user {} in virtual host {:?}: {words}", self.user, self.virtual_host),
                "Correct user, password and virtual host in key uri of the Secret, or give the user rights in it",
            ),
            ErrorKind::IOError(_) => self.error(
                Problem::Unreachable,
                format!("cannot be connected to: {words}"),
                "See that it runs, that this cluster may reach it, and, with amqps, that key ca.crt of the Secret holds the \
                 authority of its certificate",
            ),
            _ => self.error(Problem::Failed, format!("opens no channel: {words}"), "Look at its log"),
        }
    }

    fn error(&self, problem: Problem, fault: String, remedy: &str) -> Error {
        let (server, address) = (Server::RabbitMq, self.address.clone());
        Error::Theirs { server, address, problem, fault, remedy: remedy.to_owned() }
    }
}
