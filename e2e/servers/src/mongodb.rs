//! `MongoDB` 6.0, as a replica set of one member.

mod install;
mod wire;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::instance::Instance;
use crate::ports::Port;
use crate::shared;
use wire::{Bson, call};

pub(crate) const URI: &str = "CHATPLATFORM_TEST_MONGODB_URI";
const REPLICA_SET: &str = "rs0";

/// A `MongoDB` server: replica set `rs0` of one member, so transactions and change streams work.
pub struct MongoDb {
    uri: String,
    address: String,
    instance: Option<Instance>,
    _port: Option<Port>,
}

impl MongoDb {
    /// The server that all tests share, without authentication. Use a database with a random name.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<MongoDb> = OnceLock::new();
        shared::get_or_start(&SERVER, || match shared::announced(URI) {
            Some(uri) => Ok(Self::announced(uri)),
            None => Self::start(),
        })
    }

    /// A server of one's own, without authentication, ready for writes.
    pub fn start() -> Result<Self> {
        let port = Port::reserve()?;
        let address = port.address();
        let ready = {
            let address = address.clone();
            move || be_writable(&address)
        };
        Self::launch(port, None, ready)
    }

    /// A server of one's own that starts as one that nobody has set up yet: with a key file of this
    /// content, authentication required, and its replica set `rs0` not initiated. Who has the key logs
    /// in as `__system` on database `local` by SCRAM-SHA-256.
    pub fn start_with_key_file(key: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let address = port.address();
        let ready = move || call(&address, "admin", &[("hello", Bson::Int(1))]).map(drop);
        Self::launch(port, Some(key), ready)
    }

    /// Connection string that names the replica set, without credentials and without a database.
    #[must_use]
    pub fn uri(&self) -> String {
        self.uri.clone()
    }

    /// `host:port`; empty for a shared server that another process has started.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Ends the server in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::stop)
    }

    /// Ends the server as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.kill();
        }
    }

    /// Starts the server again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::restart)
    }

    fn announced(uri: String) -> Self {
        Self { uri, address: String::new(), instance: None, _port: None }
    }

    fn launch(port: Port, key: Option<&str>, ready: impl Fn() -> Result<()> + Send + Sync + 'static) -> Result<Self> {
        let program = install::mongod()?;
        let number = port.number().to_string();
        let command = move |folder: &Path| {
            let mut command = Command::new(&program);
            command
                .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--port", &number])
                .args(["--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"])
                .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
                // Tests of expiry do not wait for the default minute.
                .args(["--setParameter", "ttlMonitorSleepSecs=1"])
                .arg("--dbpath")
                .arg(folder.join("data"));
            if folder.join("key").exists() {
                // Clients of a cluster are never local: they get no exception from authentication.
                command.args(["--setParameter", "enableLocalhostAuthBypass=0"]);
                command.arg("--keyFile").arg(folder.join("key"));
            }
            command
        };
        let mut instance = Instance::new("mongod", command, ready)?;
        fs::create_dir(instance.folder().join("data"))?;
        if let Some(key) = key {
            let file = instance.folder().join("key");
            fs::write(&file, key)?;
            // mongod refuses a key file that others may read.
            fs::set_permissions(&file, Permissions::from_mode(0o400))?;
        }
        instance.start()?;
        let address = port.address();
        Ok(Self {
            uri: format!("mongodb://{address}/?replicaSet={REPLICA_SET}"),
            address,
            instance: Some(instance),
            _port: Some(port),
        })
    }
}

/// Succeeds when the member takes writes; initiates its replica set when nobody has.
fn be_writable(address: &str) -> Result<()> {
    let hello = call(address, "admin", &[("hello", Bson::Int(1))])?;
    if hello.is("isWritablePrimary") {
        return Ok(());
    }
    if !hello.has("setName") {
        let member = Bson::Document(vec![("_id", Bson::Int(0)), ("host", Bson::Text(address.to_owned()))]);
        // A lone member elects itself, and sooner with short timeouts than with those meant for a network.
        let settings = Bson::Document(vec![
            ("electionTimeoutMillis", Bson::Int(500)),
            ("heartbeatIntervalMillis", Bson::Int(100)),
        ]);
        let configuration = Bson::Document(vec![
            ("_id", Bson::Text(REPLICA_SET.to_owned())),
            ("members", Bson::Array(vec![member])),
            ("settings", settings),
        ]);
        call(address, "admin", &[("replSetInitiate", configuration)])?;
    }
    bail!("no primary has been elected yet")
}
