//! A server that can be stopped, killed and started again on the same ports and data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::{guardian, names};

const START_LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Instance {
    name: &'static str,
    folder: PathBuf,
    command: Box<dyn Fn(&Path) -> Command + Send + Sync>,
    ready: Box<dyn Fn() -> Result<()> + Send + Sync>,
    process: Option<Process>,
}

impl Instance {
    /// A server with a new data folder, not started yet. `command` is given the folder; `ready` says
    /// whether the server does its work.
    pub(crate) fn new(
        name: &'static str,
        command: impl Fn(&Path) -> Command + Send + Sync + 'static,
        ready: impl Fn() -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let folder = guardian::folder()?.join(names::fresh(name));
        fs::create_dir(&folder)?;
        Ok(Self { name, folder, command: Box::new(command), ready: Box::new(ready), process: None })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process, which leads a group of the same number, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.begin()?;
        let ready = self.await_ready();
        if ready.is_err() {
            self.kill();
        }
        ready
    }

    /// Starts the server and does not wait.
    pub(crate) fn begin(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("{} runs already", self.name);
        }
        self.process = Some(Process::start(self.name, &self.folder, (self.command)(&self.folder))?);
        Ok(())
    }

    /// Waits until the server is ready.
    pub(crate) fn await_ready(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.wait_until(START_LIMIT, &self.ready),
            None => bail!("{} does not run", self.name),
        }
    }

    /// Asks the server to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::stop)
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the server again, stopping it first when it runs.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
        // What cannot be removed now, the guardian removes when the process ends.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
