//! A cluster for one run: made for it and taken down at its end, or one that an earlier run kept.

use std::ops::Deref;

use anyhow::{Context as _, Result};

use super::{Cluster, Ports};
use crate::progress::Progress;

/// Which cluster a run is for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Keep the cluster after the run, for looking
    #[arg(long)]
    pub keep: bool,
    /// Run on the cluster of this name, which an earlier run kept
    #[arg(long, value_name = "CLUSTER")]
    pub on: Option<String>,
}

/// A cluster that is taken down when this is dropped, whatever happened, unless it is to be kept.
pub struct Temporary<'a> {
    cluster: Cluster,
    keep: bool,
    progress: &'a Progress,
}

impl<'a> Temporary<'a> {
    /// Finds it, or makes one whose name begins with `purpose`.
    pub fn bring_up(purpose: &str, choice: &Choice, progress: &'a Progress) -> Result<Self> {
        let keep = choice.keep || choice.on.is_some();
        let cluster = if let Some(name) = &choice.on {
            Cluster::existing(name)?.with_context(|| format!("no cluster {name} runs here"))?
        } else {
            // A kept cluster must not be taken for one whose run was killed.
            let up = if keep { Cluster::up } else { Cluster::up_for_this_process };
            up(&format!("{purpose}-{}", std::process::id()), Ports::free()?, progress)?
        };
        Ok(Self { cluster, keep, progress })
    }
}

impl Deref for Temporary<'_> {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.keep {
            let (name, kubeconfig) = (self.cluster.name(), self.cluster.kubeconfig());
            self.progress.say(format!("kept the cluster {name}: export KUBECONFIG={}", kubeconfig.display()));
            return;
        }
        match self.cluster.down() {
            Ok(()) => self.progress.say("the cluster is taken down"),
            Err(error) => self.progress.say(format!("the cluster is not taken down: {error:#}")),
        }
    }
}
