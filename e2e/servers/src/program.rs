//! A service's program under test, as a container runs it.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::ports::Port;
use crate::process::Process;

/// A running program at ports of its own. Dropping it kills it.
pub struct Program {
    process: Process,
    listen: Port,
    admin: Port,
    _more_ports: Vec<Port>,
    _files: Option<TempDir>,
}

impl Program {
    /// Starts `program` with `variables`, to which its two addresses are added. What it prints is kept in `folder`.
    pub fn start(
        name: &'static str,
        folder: &Path,
        program: impl AsRef<OsStr>,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Result<Self> {
        let (listen, admin) = (Port::reserve()?, Port::reserve()?);
        let mut command = Command::new(program);
        command
            .envs(variables)
            .env("CHATPLATFORM_SERVER__LISTEN", listen.address())
            .env("CHATPLATFORM_SERVER__ADMIN_LISTEN", admin.address());
        let process = Process::start(name, folder, command)?;
        Ok(Self { process, listen, admin, _more_ports: Vec::new(), _files: None })
    }

    /// One that runs, and its files.
    pub(crate) fn with_files(
        process: Process,
        listen: Port,
        admin: Port,
        more_ports: Vec<Port>,
        files: TempDir,
    ) -> Self {
        Self { process, listen, admin, _more_ports: more_ports, _files: Some(files) }
    }

    /// The address at which it serves clients.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listen.address().parse()?)
    }

    /// Where it serves clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listen.address())
    }

    /// Where it serves probes and metrics.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin.address())
    }

    /// Whether it says that it can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        ureq::get(format!("{}/readyz", self.admin_url())).call().is_ok()
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has printed.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.process.log()).context("what the program printed cannot be read")
    }

    /// Tells it to stop, by SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.process.terminate()
    }

    /// Kills it, by SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Waits for its end. An error if it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.wait(limit)
    }
}
