//! Scenarios on a cluster of this run's own.

use anyhow::{Context as _, Result};

use super::{Bench, Tally};
use crate::cluster::{Cluster, Ports};
use crate::progress::Progress;
use crate::scenarios::{self, Scenario, Stage};
use crate::{images, platform, up};

pub(super) const NAME: &str = "scenarios";

/// The names of all scenarios.
pub(super) fn names() -> Vec<&'static str> {
    scenarios::ALL.iter().map(|scenario| scenario.name).collect()
}

/// Whether a scenario's name holds this text.
pub(super) fn is_named(name: &str) -> bool {
    scenarios::ALL.iter().any(|scenario| scenario.name.contains(name))
}

pub(super) fn run(bench: &Bench) -> Result<Tally> {
    let built = images::compile(&bench.cache, &bench.progress)?;
    let cluster = cluster(bench)?;
    let keep = bench.options.keep || bench.options.on.is_some();
    let taken_down = TakenDown { cluster: &cluster, keep, progress: &bench.progress };

    up::put_images(&cluster, &built, &bench.progress)?;
    platform::install_operator(&cluster, &bench.progress)?;
    let stage = Stage::set_up(cluster.clone(), &bench.progress)?;
    let tally = scenarios::run(&selected(bench.options.name.as_deref()), &stage, &bench.progress);
    drop(taken_down);
    Ok(tally)
}

/// One that an earlier run kept, or a new one.
fn cluster(bench: &Bench) -> Result<Cluster> {
    if let Some(name) = &bench.options.on {
        return Cluster::existing(name)?.with_context(|| format!("no cluster {name} runs here"));
    }
    let name = format!("test-{}", std::process::id());
    // A kept cluster must not be taken for one whose run was killed.
    let up = if bench.options.keep { Cluster::up } else { Cluster::up_for_this_process };
    up(&name, Ports::free()?, &bench.progress)
}

/// Those whose names hold the text; all when it names the part.
fn selected(name: Option<&str>) -> Vec<&'static Scenario> {
    let named = |scenario: &&Scenario| name.is_none_or(|name| NAME.contains(name) || scenario.name.contains(name));
    scenarios::ALL.iter().filter(named).collect()
}

/// Takes the cluster down when dropped, whatever happened, unless it is to be kept.
struct TakenDown<'a> {
    cluster: &'a Cluster,
    keep: bool,
    progress: &'a Progress,
}

impl Drop for TakenDown<'_> {
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
