//! Measurements on a cluster of their own, printed and written into the book.

mod data;
mod failover;
mod figures;
mod majority;
mod page;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cluster::{Choice, Temporary};
use crate::progress::Progress;
use crate::{images, up};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What to measure: data
    pub name: String,
    /// Where it is measured
    #[command(flatten)]
    pub cluster: Choice,
}

/// Measures, prints the table and writes it into its section of the page.
pub fn run(options: &Options) -> Result<()> {
    let measure = match options.name.as_str() {
        "data" => data::measure,
        other => bail!("nothing is called {other:?}: what can be measured is data"),
    };
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs().join("bench"));
    let built = images::compile(&cache, &progress)?;
    let cluster = Temporary::bring_up("bench", &options.cluster, &progress)?;
    up::install(&cluster, &built, &progress)?;
    let table = measure(cluster.clone(), &progress)?.to_string();
    println!("\n{table}");
    let page = page::write(&options.name, &table)?;
    progress.say(format!("written into {}", page.display()));
    Ok(())
}
