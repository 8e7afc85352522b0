//! Scenarios on a cluster of this run's own.

use anyhow::Result;

use super::{Bench, Tally};
use crate::cluster::Temporary;
use crate::scenarios::{self, Scenario, Stage};
use crate::{images, up};

pub(super) const NAME: &str = "scenarios";

/// The names of all scenarios.
pub(super) fn names() -> Vec<&'static str> {
    scenarios::ALL.iter().map(|scenario| scenario.name).collect()
}

/// Whether a scenario's name or theme holds this text.
pub(super) fn is_named(name: &str) -> bool {
    scenarios::ALL.iter().chain(scenarios::BY_NAME).any(|scenario| scenario.is_called(name))
}

pub(super) fn run(bench: &Bench) -> Result<Tally> {
    let built = images::compile(&bench.cache, &bench.progress)?;
    let cluster = Temporary::bring_up("test", &bench.options.cluster, &bench.progress)?;
    up::install(&cluster, &built, &bench.progress)?;
    let cure = "Mend what is said above, then run the command again.";
    bench.progress.step("programs for scenarios", cure, |_| scenarios::prepare())?;
    let stage = Stage::set_up(cluster.clone(), &bench.progress)?;
    Ok(scenarios::run(&selected(bench.options.name.as_deref()), &stage, &bench.progress))
}

/// Those whose names or themes hold the text; all when it names the part.
fn selected(name: Option<&str>) -> Vec<&'static Scenario> {
    let named = |scenario: &&Scenario| name.is_none_or(|name| NAME.contains(name) || scenario.is_called(name));
    let by_name = scenarios::BY_NAME.iter().filter(|scenario| name.is_some_and(|name| scenario.is_called(name)));
    scenarios::ALL.iter().filter(named).chain(by_name).collect()
}
