//! What a cluster is made with: a Docker daemon, kind and helm. Found where the machine has them, prepared where not.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::cache::Cache;
use crate::command::{Run, on_path};
use crate::docker::Docker;
use crate::offline;
use crate::offline::go::{self, HELM, KIND};
use crate::progress::Progress;
use crate::quirks::Quirks;

/// The tools, ready to use.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The daemon that runs the nodes and builds the images.
    pub docker: Docker,
    /// The kind binary.
    pub kind: PathBuf,
    /// The helm binary, version 4.
    pub helm: PathBuf,
    /// What only a machine without registries needs; `None` on a machine where images can be pulled.
    pub offline: Option<offline::Prepared>,
    /// What this machine lacks.
    pub quirks: Quirks,
}

impl Engine {
    /// Uses Docker where it answers and can pull images; makes everything from package registries elsewhere.
    pub fn prepare(cache: &Cache, progress: &Progress) -> Result<Self> {
        let quirks = Quirks::detect();
        match docker_that_pulls() {
            Some(docker) => Ok(Self {
                docker,
                kind: found_or_built(cache, progress, &KIND, |_| true)?,
                helm: found_or_built(cache, progress, &HELM, is_helm_4)?,
                offline: None,
                quirks,
            }),
            None => offline::prepare(cache, progress, quirks),
        }
    }

    /// The tools of a cluster that is there already, without preparing anything; `None` when no daemon answers.
    pub fn of_running(cache: &Cache) -> Result<Option<Self>> {
        let quirks = Quirks::detect();
        if let Some(docker) = offline::daemon::Daemon::new(cache).running() {
            return Ok(Some(Self {
                docker,
                kind: go::place(cache, &KIND),
                helm: go::place(cache, &HELM),
                offline: Some(offline::Prepared::default()),
                quirks,
            }));
        }
        Ok(docker_of_this_machine().map(|docker| Self {
            docker,
            kind: on_path("kind").unwrap_or_else(|| go::place(cache, &KIND)),
            helm: on_path("helm").filter(is_helm_4).unwrap_or_else(|| go::place(cache, &HELM)),
            offline: None,
            quirks,
        }))
    }

    /// A `kind` command.
    #[must_use]
    pub fn kind(&self) -> Run {
        self.docker.environment(Run::new(&self.kind))
    }
}

fn docker_of_this_machine() -> Option<Docker> {
    let docker = Docker::of_this_machine(on_path("docker")?);
    docker.answers().then_some(docker)
}

/// An image every cluster needs anyway is the probe: what matters is whether it can be had, not how.
fn docker_that_pulls() -> Option<Docker> {
    const PROBE: &str = "docker.io/library/debian:bookworm-slim";
    let docker = docker_of_this_machine()?;
    let pulls = docker.image_id(PROBE).is_some()
        || docker.run().args(["pull", "--quiet", PROBE]).succeeds_within(Duration::from_mins(2));
    pulls.then_some(docker)
}

fn found_or_built(
    cache: &Cache,
    progress: &Progress,
    tool: &go::Tool,
    suits: impl Fn(&PathBuf) -> bool,
) -> Result<PathBuf> {
    match on_path(tool.name).filter(|found| suits(found)) {
        Some(found) => Ok(found),
        None => go::ensure(cache, progress, tool),
    }
}

fn is_helm_4(helm: &PathBuf) -> bool {
    Run::new(helm)
        .args(["version", "--template", "{{.Version}}"])
        .output()
        .is_ok_and(|version| version.starts_with("v4."))
}
