//! Measurements on a cluster of their own, printed and written into the book.

mod data;
mod failover;
mod figures;
mod majority;
mod operator;
mod page;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cluster::{Choice, Cluster, Temporary};
use crate::progress::Progress;
use crate::{images, up};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What to measure: data, operator
    pub name: String,
    /// How many platforms the operator is given at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(101..=5000))]
    pub platforms: u32,
    /// Where it is measured
    #[command(flatten)]
    pub cluster: Choice,
}

/// Measures, prints the table and writes it into its section of the page.
pub fn run(options: &Options) -> Result<()> {
    let measure: fn(Cluster, &Options, &Progress) -> Result<String> = match options.name.as_str() {
        "data" => |cluster, _, progress| Ok(data::measure(cluster, progress)?.to_string()),
        "operator" => {
            |cluster, options, progress| Ok(operator::measure(&cluster, options.platforms, progress)?.to_string())
        }
        other => bail!("nothing is called {other:?}: what can be measured is data and operator"),
    };
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs().join("bench"));
    let built = images::compile(&cache, &progress)?;
    let cluster = Temporary::bring_up("bench", &options.cluster, &progress)?;
    up::install(&cluster, &built, &progress)?;
    let table = measure(cluster.clone(), options, &progress)?;
    println!("\n{table}");
    let page = page::write(&options.name, &table)?;
    progress.say(format!("written into {}", page.display()));
    Ok(())
}
