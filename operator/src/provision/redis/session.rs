//! A login to one server or sentinel, and its refusals in our words.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, cmd};
use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};
use secrecy::ExposeSecret;

use super::Instance;
use crate::provision::{Error, PATIENCE, Server, with_causes};
use crate::secrets::Login;

/// A connection, and what errors call it.
pub(super) struct Session {
    address: String,
    user: String,
    connection: MultiplexedConnection,
}

impl Session {
    /// Logs in to an instance.
    pub(super) async fn open(instance: &Instance, login: &Login) -> Result<Self, Error> {
        let address = format!("{}:{}", instance.host, instance.port);
        let settings =
            RedisConnectionInfo::default().set_username(&login.user).set_password(login.password.expose_secret());
        let client = ConnectionAddr::Tcp(instance.host.clone(), instance.port)
            .into_connection_info()
            .and_then(|info| Client::open(info.set_redis_settings(settings)));
        Self::log_in(address, login.user.clone(), client).await
    }

    /// Logs in by a client whose user and address are these.
    pub(super) async fn log_in(address: String, user: String, client: RedisResult<Client>) -> Result<Self, Error> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let open = async { client?.get_multiplexed_async_connection_with_config(&config).await };
        match open.await {
            Ok(connection) => Ok(Self { address, user, connection }),
            Err(error) => Err(failed(address, user, "log in", &error)),
        }
    }

    /// Asks; `action` is what an error says was tried.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, action: &str, command: &Cmd) -> Result<T, Error> {
        command
            .query_async(&mut self.connection)
            .await
            .map_err(|error| failed(self.address.clone(), self.user.clone(), action, &error))
    }
}

/// Asks a sentinel for the address of a master.
pub(super) fn who_is_master(name: &str) -> Cmd {
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    command
}

fn failed(address: String, user: String, action: &str, error: &RedisError) -> Error {
    let (server, cause) = (Server::Redis, with_causes(error));
    match error.kind() {
        ErrorKind::AuthenticationFailed => Error::AccessDenied { server, address, user, cause },
        _ if matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS")) => {
            Error::AccessDenied { server, address, user, cause }
        }
        ErrorKind::Io => Error::Unreachable { server, address, cause },
        _ => Error::Failed { server, address, action: action.to_owned(), cause },
    }
}
