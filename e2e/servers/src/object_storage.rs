//! An S3 store (versitygw) that checks signatures.

mod signature;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use ureq::Agent;

use crate::instance::Instance;
use crate::ports::Port;
use crate::process::run;
use crate::{cache, names, shared};
use signature::authorization;

pub(crate) const ENDPOINT: &str = "CHATPLATFORM_TEST_S3_ENDPOINT";
const VERSION: &str = "v1.8.0";
const REGION: &str = "us-east-1";
const ACCESS_KEY_ID: &str = "chatplatform";
const SECRET_ACCESS_KEY: &str = "chatplatform-test-secret";

/// An S3 store.
pub struct ObjectStorage {
    endpoint: String,
    instance: Option<Instance>,
    _port: Option<Port>,
}

impl ObjectStorage {
    /// The store that all tests share. Use a [`ObjectStorage::bucket`] of one's own.
    ///
    /// # Panics
    /// When the store does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<ObjectStorage> = OnceLock::new();
        shared::get_or_start(&SERVER, || match shared::announced(ENDPOINT) {
            Some(endpoint) => Ok(Self { endpoint, instance: None, _port: None }),
            None => Self::start(),
        })
    }

    /// A store of one's own.
    pub fn start() -> Result<Self> {
        let program = program()?;
        let port = Port::reserve()?;
        let (address, endpoint) = (port.address(), format!("http://{}", port.address()));
        let command = move |folder: &Path| {
            let mut command = Command::new(&program);
            command
                .env("ROOT_ACCESS_KEY", ACCESS_KEY_ID)
                .env("ROOT_SECRET_KEY", SECRET_ACCESS_KEY)
                .args(["--port", &address, "--region", REGION, "--health", "/health", "posix"])
                .arg(folder.join("data"));
            command
        };
        let ready = {
            let endpoint = endpoint.clone();
            move || agent().get(format!("{endpoint}/health")).call().map(drop).map_err(Into::into)
        };
        let mut instance = Instance::new("versitygw", command, ready)?;
        fs::create_dir(instance.folder().join("data"))?;
        instance.start()?;
        Ok(Self { endpoint, instance: Some(instance), _port: Some(port) })
    }

    /// URL of the store. Buckets are addressed by path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// Access key id of the owner of everything.
    #[must_use]
    pub fn access_key_id(&self) -> &'static str {
        ACCESS_KEY_ID
    }

    /// Secret access key of the owner of everything.
    #[must_use]
    pub fn secret_access_key(&self) -> &'static str {
        SECRET_ACCESS_KEY
    }

    /// Name of a new bucket.
    ///
    /// # Panics
    /// When the store refuses to make one.
    #[must_use]
    pub fn bucket(&self) -> String {
        let name = names::fresh("test");
        match self.create_bucket(&name) {
            Ok(()) => name,
            Err(error) => panic!("the S3 store made no bucket: {error:#}"),
        }
    }

    /// Ends the store in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::stop)
    }

    /// Ends the store as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.kill();
        }
    }

    /// Starts the store again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::restart)
    }

    fn create_bucket(&self, name: &str) -> Result<()> {
        let host = self.endpoint.trim_start_matches("http://");
        let signed = authorization(
            &signature::Key { id: ACCESS_KEY_ID, secret: SECRET_ACCESS_KEY, region: REGION },
            &signature::Request { method: "PUT", host, path: &format!("/{name}") },
            Timestamp::now(),
        );
        let mut request = agent().put(format!("{}/{name}", self.endpoint));
        for (header, value) in signed {
            request = request.header(header, value);
        }
        request.send_empty().with_context(|| format!("PUT /{name}"))?;
        Ok(())
    }
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into()
}

fn program() -> Result<PathBuf> {
    let folder = cache::installed("versitygw", VERSION, |folder| {
        run(Command::new("go")
            .env("GOBIN", folder)
            .env("CGO_ENABLED", "0")
            .args(["install", "-trimpath", "-ldflags", "-s -w"])
            .arg(format!("github.com/versity/versitygw/cmd/versitygw@{VERSION}")))?;
        Ok(())
    })?;
    Ok(folder.join("versitygw"))
}
