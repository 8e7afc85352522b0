//! Every test, in the order in which a fault is found soonest.

mod binaries;
mod cargo;
mod libtest;
mod manifests;
mod node;
mod scenarios;
mod stream;
mod tally;
mod web;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cluster::Choice;
use crate::progress::{Progress, seconds};
use crate::{interrupt, source};

pub(crate) use node::Packages;
pub(crate) use tally::Tally;

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only the parts whose names hold this text, or the scenarios whose names or themes (`mongodb::`) do
    pub name: Option<String>,
    /// Where the scenarios run
    #[command(flatten)]
    pub cluster: Choice,
}

/// One kind of test.
struct Part {
    name: &'static str,
    run: fn(&Bench) -> Result<Tally>,
}

const PARTS: [Part; 6] = [
    Part { name: "format", run: cargo::format },
    Part { name: "lints", run: cargo::lints },
    Part { name: "unit+integration", run: cargo::tests },
    Part { name: "web", run: web::run },
    Part { name: "manifests", run: manifests::run },
    Part { name: scenarios::NAME, run: scenarios::run },
];

/// What every part works with.
pub(crate) struct Bench {
    pub(crate) root: PathBuf,
    pub(crate) cache: Cache,
    pub(crate) progress: Progress,
    pub(crate) options: Options,
}

/// Runs the tests; answers whether all passed. The last line printed is `N passed, N failed`.
pub fn run(options: &Options) -> Result<bool> {
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs().join("test"));
    let bench = Bench { root: source::root()?, cache, progress, options: options.clone() };
    let parts = selected(options.name.as_deref())?;

    let mut total = Tally::default();
    for part in parts {
        if interrupt::interrupted() {
            break;
        }
        total += run_part(part, &bench);
    }
    if interrupt::interrupted() {
        bench.progress.say("interrupted");
        if total.failed == 0 {
            total += Tally::failed();
        }
    }
    println!("{total}");
    Ok(total.is_good())
}

fn run_part(part: &Part, bench: &Bench) -> Tally {
    bench.progress.say(format!("── {}", part.name));
    let began = Instant::now();
    let tally = (part.run)(bench).unwrap_or_else(|error| {
        println!("{error:#}");
        Tally::failed()
    });
    bench.progress.say(format!("── {}: {tally} ({})", part.name, seconds(began.elapsed())));
    tally
}

fn selected(name: Option<&str>) -> Result<Vec<&'static Part>> {
    let Some(name) = name else { return Ok(PARTS.iter().collect()) };
    let parts: Vec<_> = PARTS.iter().filter(|part| part.name.contains(name)).collect();
    if !parts.is_empty() {
        return Ok(parts);
    }
    if scenarios::is_named(name) {
        return Ok(PARTS.iter().filter(|part| part.name == scenarios::NAME).collect());
    }
    let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
    bail!(
        "nothing is called {name:?}: the parts are {}; the scenarios are\n  {}",
        names.join(", "),
        scenarios::names().join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn names(selection: Option<&str>) -> Vec<&'static str> {
        selected(selection).unwrap().iter().map(|part| part.name).collect()
    }

    #[test]
    fn without_a_name_every_part_runs() {
        assert_eq!(names(None).len(), PARTS.len());
    }

    #[test]
    fn a_name_selects_a_part_or_the_scenarios_that_hold_it() {
        assert_eq!(names(Some("unit")), ["unit+integration"]);
        assert_eq!(names(Some("log_out")), ["scenarios"]);
        assert_eq!(names(Some("mongodb::")), ["scenarios"]);
    }

    #[test]
    fn a_name_that_fits_nothing_is_an_error_that_lists_what_there_is() {
        let error = selected(Some("no such thing")).err().unwrap().to_string();
        assert!(error.contains("manifests") && error.contains("log_out"), "{error}");
    }
}
