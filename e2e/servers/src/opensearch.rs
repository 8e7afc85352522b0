//! An `OpenSearch` of one node, which wants a user name and a password.

mod install;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Agent;

use crate::instance::Instance;
use crate::ports::Port;
use crate::shared;

const PATIENCE: Duration = Duration::from_secs(20);

/// An `OpenSearch`.
pub struct OpenSearch {
    endpoint: String,
    instance: Instance,
    _ports: [Port; 2],
}

impl OpenSearch {
    /// The user that it lets in.
    pub const USER: &str = "chat";
    /// The user's password.
    pub const PASSWORD: &str = "a password for tests";

    /// What tells one state of [`Self::files`] from another.
    #[must_use]
    pub fn version() -> String {
        install::version()
    }

    /// What it is made of: a folder with `classes` and `lib`, the class path of the Java program `Server`.
    pub fn files() -> Result<PathBuf> {
        install::opensearch()
    }

    /// What the user shows: basic authentication (RFC 7617).
    #[must_use]
    pub fn authorization() -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", Self::USER, Self::PASSWORD)))
    }

    /// The one that all tests of a process share. Use an index of one's own.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<OpenSearch> = OnceLock::new();
        shared::get_or_start(&SERVER, Self::start)
    }

    /// One of one's own.
    pub fn start() -> Result<Self> {
        let files = install::opensearch()?;
        let ports = [Port::reserve()?, Port::reserve()?];
        let numbers = [ports[0].number().to_string(), ports[1].number().to_string()];
        let endpoint = format!("http://{}", ports[0].address());
        let command = move |folder: &Path| {
            let mut command = Command::new("java");
            command
                .current_dir(folder)
                // Nothing of the machine's own environment is a setting.
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("OPENSEARCH_LOGIN", format!("{}:{}", Self::USER, Self::PASSWORD))
                .envs([("network.host", "127.0.0.1"), ("discovery.type", "single-node")])
                .envs([("http.port", &numbers[0]), ("transport.port", &numbers[1])])
                // Where tests run, disks are often fuller than it likes.
                .env("cluster.routing.allocation.disk.threshold_enabled", "false")
                .args(["-Xms192m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
                .arg(format!("{0}/classes:{0}/lib/*", files.display()))
                .arg("Server")
                .arg(folder);
            command
        };
        let ready = {
            let endpoint = endpoint.clone();
            move || get(&format!("{endpoint}/_cluster/health?wait_for_status=yellow&timeout=1s")).map(drop)
        };
        let mut instance = Instance::new("opensearch", command, ready)?;
        instance.start()?;
        Ok(Self { endpoint, instance, _ports: ports })
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The folder in which it keeps everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.instance.folder()
    }

    /// What it answers to GET of a path.
    pub fn get(&self, path: &str) -> Result<Value> {
        get(&format!("{}{path}", self.endpoint))
    }

    /// Makes everything that was written findable, and gives how many documents an index has.
    pub fn count(&self, index: &str) -> Result<u64> {
        agent()
            .post(format!("{}/{index}/_refresh", self.endpoint))
            .header("authorization", OpenSearch::authorization())
            .send_empty()?;
        self.get(&format!("/{index}/_count"))?["count"].as_u64().context("no count")
    }

    /// Deletes an index, as somebody who does not know what it is good for.
    pub fn delete(&self, index: &str) -> Result<()> {
        agent()
            .delete(format!("{}/{index}", self.endpoint))
            .header("authorization", OpenSearch::authorization())
            .call()?;
        Ok(())
    }

    /// Ends it in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.instance.stop()
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.instance.kill();
    }

    /// Starts it again on the same ports and data.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.restart()
    }
}

fn get(url: &str) -> Result<Value> {
    Ok(agent().get(url).header("authorization", OpenSearch::authorization()).call()?.body_mut().read_json()?)
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(PATIENCE)).build().into()
}
