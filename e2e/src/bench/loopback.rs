//! Services and their peers as processes of this machine, where each can be told apart by what it takes.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use servers::access_tokens::{ISSUER, write_jwks, write_signing_keys};
use servers::{MongoDb, Program, Redis};
use tempfile::TempDir;

use crate::progress::Progress;
use crate::scenarios::wait::until;
use crate::test::Packages;
use crate::{images, source};

const READY_WITHIN: Duration = Duration::from_mins(1);

/// What measurements on this machine need.
pub(super) struct Loopback<'a> {
    service: &'static str,
    binary: PathBuf,
    peers: Packages,
    folder: TempDir,
    quick: bool,
    pub(super) progress: &'a Progress,
}

impl<'a> Loopback<'a> {
    /// Compiles a service and installs the peers.
    pub(super) fn prepare(service: &'static str, quick: bool, progress: &'a Progress) -> Result<Self> {
        let binary = images::compile_service(service, progress)?;
        let peers = progress.step("peers", "Is the registry of npm reachable? Run the command again.", |_| {
            Packages::installed(&source::root()?.join("e2e/peers"))
        })?;
        let folder = tempfile::tempdir()?;
        write_jwks(folder.path())?;
        Ok(Self { service, binary, peers, folder, quick, progress })
    }

    /// So many, or the smaller number for a quick look.
    pub(super) fn usually<T>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }

    /// Keeps a text in a file; answers its path.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// How every service verifies access tokens.
    pub(super) fn token_variables(&self) -> Vec<(&'static str, String)> {
        let jwks = self.folder.path().join("jwks.json");
        vec![
            ("CHATPLATFORM_TOKENS__ISSUER", ISSUER.to_owned()),
            ("CHATPLATFORM_TOKENS__JWKS_FILE", jwks.display().to_string()),
            ("CHATPLATFORM_SERVER__SETTLE_SECONDS", "0".to_owned()),
        ]
    }

    /// Where a service keeps its state: a database of its own in each server.
    pub(super) fn store_variables(&self, database: &str, rabbitmq_uri: &str) -> Result<Vec<(&'static str, String)>> {
        let file = |name: &str, text: &str| self.file(&format!("{database}-{name}"), text);
        Ok(vec![
            ("CHATPLATFORM_MONGODB__URI_FILE", file("mongodb-uri", &MongoDb::shared().uri())?),
            ("CHATPLATFORM_MONGODB__DATABASE", database.to_owned()),
            ("CHATPLATFORM_REDIS__URL_FILE", file("redis-url", &Redis::shared().database())?),
            ("CHATPLATFORM_RABBITMQ__URI_FILE", file("rabbitmq-uri", rabbitmq_uri)?),
        ])
    }

    /// A file with a ring of one key, which encrypts what a service keeps.
    pub(super) fn key_ring(&self) -> Result<String> {
        let key = STANDARD.encode([1; 32]);
        self.file("key-ring.json", &json!({"current": "key-1", "keys": {"key-1": key}}).to_string())
    }

    /// The file with the key that the auth service signs with.
    pub(super) fn signing_keys(&self) -> Result<String> {
        write_signing_keys(self.folder.path())?;
        Ok(self.folder.path().join("signing-keys.json").display().to_string())
    }

    /// Starts the service as a container does, and waits until it says that it is ready.
    pub(super) fn start(&self, variables: Vec<(&'static str, String)>) -> Result<Program> {
        let started = Program::start(self.service, self.folder.path(), &self.binary, variables)?;
        Self::await_ready(self.service, started, |program| {
            ensure!(program.is_ready(), "it is not ready");
            Ok(())
        })
    }

    /// Starts a program of `e2e/peers`, and waits until it listens.
    pub(super) fn start_peer(&self, name: &'static str, mut variables: Vec<(&'static str, String)>) -> Result<Program> {
        variables.push(("NODE_ENV", "production".to_owned()));
        let script = self.peers.folder().join(format!("{name}.mjs"));
        let started = Program::start(name, self.folder.path(), script, variables)?;
        Self::await_ready(name, started, listens)
    }

    /// Starts nginx with this configuration, in which it listens at port 8080.
    pub(super) fn start_nginx(&self, name: &'static str, configuration: &str) -> Result<Program> {
        let script = "exec nginx -e /dev/stderr -c /etc/nginx-config/nginx.conf -g 'daemon off;'";
        let files = BTreeMap::from([
            ("serve.sh".to_owned(), script.to_owned()),
            ("nginx.conf".to_owned(), configuration.to_owned()),
        ]);
        let listens_at = servers::Listens { clients: 8080, probes: 8081, others: &[] };
        let started = Program::start_nginx(name, self.folder.path(), &files, &listens_at)?;
        Self::await_ready(name, started, listens)
    }

    fn await_ready(name: &str, program: Program, ready: fn(&Program) -> Result<()>) -> Result<Program> {
        until(&format!("{name} is ready"), READY_WITHIN, || ready(&program))
            .map_err(|error| anyhow!("{error:#}\n{}", program.log().unwrap_or_default()))?;
        Ok(program)
    }
}

fn listens(program: &Program) -> Result<()> {
    let url = program.url();
    let address = url.strip_prefix("http://").unwrap_or(&url);
    TcpStream::connect(address).map(drop).context("it does not listen")
}
