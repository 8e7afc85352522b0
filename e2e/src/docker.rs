//! The Docker daemon in use: one that was there, or our own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::command::Run;
use crate::progress::Log;

/// The label that holds the key of what went into an image.
pub const KEY_LABEL: &str = "dev.chatplatform.key";

/// A client and the daemon it talks to.
#[derive(Clone, Debug)]
pub struct Docker {
    program: PathBuf,
    host: Option<String>,
    build_network: Option<&'static str>,
}

impl Docker {
    /// The daemon that the person's own `docker` talks to.
    #[must_use]
    pub fn of_this_machine(program: PathBuf) -> Self {
        Self { program, host: None, build_network: None }
    }

    /// A daemon of our own behind `socket`. It makes no firewall rules, so its containers reach nothing outside;
    /// builds use the machine's network.
    #[must_use]
    pub fn of_our_own(program: PathBuf, socket: &Path) -> Self {
        Self { program, host: Some(format!("unix://{}", socket.display())), build_network: Some("host") }
    }

    /// A `docker` command.
    #[must_use]
    pub fn run(&self) -> Run {
        self.environment(Run::new(&self.program))
    }

    /// Makes a program that calls `docker` itself talk to the same daemon by the same client.
    #[must_use]
    pub fn environment(&self, run: Run) -> Run {
        let Some(host) = &self.host else { return run };
        let own = self.program.parent().unwrap_or(Path::new("/usr/bin"));
        let path = std::env::var("PATH").unwrap_or_default();
        run.env("DOCKER_HOST", host).env("PATH", format!("{}:{path}", own.display()))
    }

    /// The `export` lines that let a person's shell talk to the daemon; `None` where it is the usual one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether the daemon answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.run().args(["info", "--format", "{{.ID}}"]).succeeds()
    }

    /// The id of the image `name`, if the daemon has it.
    #[must_use]
    pub fn image_id(&self, name: &str) -> Option<String> {
        self.run().args(["image", "inspect", "--format", "{{.Id}}", name]).output().ok().filter(|id| !id.is_empty())
    }

    /// Whether the daemon has `name`, built from what `key` stands for.
    #[must_use]
    pub fn has(&self, name: &str, key: &str) -> bool {
        let format = format!("{{{{index .Config.Labels \"{KEY_LABEL}\"}}}}");
        self.run().args(["image", "inspect", "--format", &format, name]).output().is_ok_and(|found| found == key)
    }

    /// Builds `context/Dockerfile` as `name` and labels it with `key`.
    pub fn build(&self, name: &str, key: &str, context: &Path, arguments: &[String], log: &Log) -> Result<()> {
        let mut run = self.run().args(["build", "--tag", name, "--label", &format!("{KEY_LABEL}={key}")]);
        if let Some(network) = self.build_network {
            run = run.args(["--network", network]);
        }
        for argument in arguments {
            run = run.args(["--build-arg", argument]);
        }
        run.arg(context).log(log).execute().with_context(|| format!("cannot build {name}"))
    }

    /// What `docker inspect` says about containers.
    pub fn inspect(&self, containers: &[String]) -> Result<Vec<Value>> {
        let text = self.run().args(["container", "inspect"]).args(containers).output()?;
        serde_json::from_str(&text).context("docker inspect did not answer JSON")
    }
}
