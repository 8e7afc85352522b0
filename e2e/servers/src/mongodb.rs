//! `MongoDB` 6.0: a replica set of one member, or a member of a set that is still to be made.

mod install;
mod wire;

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::instance::Instance;
use crate::ports::Port;
use crate::{Authority, Identity, shared};
use wire::{Bson, call};

pub(crate) const URI: &str = "CHATPLATFORM_TEST_MONGODB_URI";
const REPLICA_SET: &str = "rs0";
const DATA: &str = "data";
const KEY: &str = "key";
const IDENTITY: &str = "tls.pem";
const AUTHORITY: &str = "ca.crt";

/// A `MongoDB` server. Of replica set `rs0`, even where it is alone, so transactions and change streams work.
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
        Self::launch(port, |_| Ok(()), ready)
    }

    /// A server of one's own that starts as one that nobody has set up yet: with a key file of this
    /// content, authentication required, and its replica set `rs0` not initiated. Who has the key logs
    /// in as `__system` on database `local` by SCRAM-SHA-256.
    pub fn start_with_key_file(key: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let address = port.address();
        let ready = move || call(&address, "admin", &[("hello", Bson::Int(1))]).map(drop);
        Self::launch(port, |folder| keep_key(folder, key), ready)
    }

    /// The same, speaking TLS alone, with a certificate of `authority`; and a member of a set with others of the same key and
    /// authority, once it is told to be. Fail points (`configureFailPoint`) stop it where a test wants it to stop.
    pub fn start_member(key: &str, authority: &Authority) -> Result<Self> {
        let port = Port::reserve()?;
        let address = port.address();
        let ready = move || TcpStream::connect(&address).map(drop).context("it does not listen");
        let identity = authority.issue()?;
        let prepare = |folder: &Path| {
            keep_key(folder, key)?;
            fs::write(folder.join(AUTHORITY), authority.pem())?;
            keep_identity(folder, &identity)
        };
        Self::launch(port, prepare, ready)
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

    /// Loses the data of a server that was stopped or killed, as with a lost volume.
    pub fn wipe(&mut self) -> Result<()> {
        let instance = self.instance.as_ref().context("this server is somebody else's")?;
        let data = instance.folder().join(DATA);
        fs::remove_dir_all(&data)?;
        Ok(fs::create_dir(data)?)
    }

    /// Puts another certificate where the member has its own. It shows it once it is told to (`rotateCertificates`), or restarted.
    pub fn replace_certificate(&self, identity: &Identity) -> Result<()> {
        keep_identity(self.instance.as_ref().context("this server is somebody else's")?.folder(), identity)
    }

    /// Starts the server again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::restart)
    }

    fn announced(uri: String) -> Self {
        Self { uri, address: String::new(), instance: None, _port: None }
    }

    fn launch(
        port: Port,
        prepare: impl FnOnce(&Path) -> Result<()>,
        ready: impl Fn() -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
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
                .arg(folder.join(DATA));
            if folder.join(KEY).exists() {
                // Clients of a cluster are never local: they get no exception from authentication.
                command.args(["--setParameter", "enableLocalhostAuthBypass=0"]);
                command.arg("--keyFile").arg(folder.join(KEY));
            }
            if folder.join(IDENTITY).exists() {
                command.args(["--setParameter", "enableTestCommands=1"]);
                // As the operator has it.
                command.args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=5000"]);
                command.args(["--tlsMode", "requireTLS", "--tlsAllowConnectionsWithoutCertificates"]);
                command.arg("--tlsCertificateKeyFile").arg(folder.join(IDENTITY));
                command.arg("--tlsCAFile").arg(folder.join(AUTHORITY));
            }
            command
        };
        let mut instance = Instance::new("mongod", command, ready)?;
        fs::create_dir(instance.folder().join(DATA))?;
        prepare(instance.folder())?;
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

fn keep_key(folder: &Path, key: &str) -> Result<()> {
    let file = folder.join(KEY);
    fs::write(&file, key)?;
    // mongod refuses a key file that others may read.
    Ok(fs::set_permissions(&file, Permissions::from_mode(0o400))?)
}

/// Both in one file, as mongod wants them.
fn keep_identity(folder: &Path, identity: &Identity) -> Result<()> {
    Ok(fs::write(folder.join(IDENTITY), format!("{}{}", identity.certificate, identity.key))?)
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
