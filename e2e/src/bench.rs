//! Measurements, printed and written into the book: some on a cluster of their own, some of programs on this machine.

mod auth;
mod data;
mod failover;
mod figures;
mod gateway;
mod loopback;
mod majority;
mod open_files;
mod operator;
mod outbox;
mod page;
mod people;
mod process_group;
mod realtime;
mod statistics;

use anyhow::Result;

use self::loopback::Loopback;
use crate::cache::Cache;
use crate::cluster::{Choice, Temporary};
use crate::progress::Progress;
use crate::{images, up};

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What to measure
    #[arg(value_enum)]
    pub name: Subject,
    /// Fewer and shorter rounds, for a look: prints the table and leaves the page as it is. Not for data and operator
    #[arg(long)]
    pub quick: bool,
    /// How many platforms the operator is given at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(101..=5000))]
    pub platforms: u32,
    /// Where data and operator are measured
    #[command(flatten)]
    pub cluster: Choice,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// The servers that hold the data, on a cluster
    Data,
    /// What the operator takes, on a cluster
    Operator,
    /// What the gateway takes for a request, beside nginx and Express
    Gateway,
    /// How many people log in
    Auth,
    /// What the chat service takes for sockets and deliveries, beside Socket.IO for Node
    Realtime,
    /// How many events go through the outbox, beside a plain publisher
    Outbox,
}

impl Subject {
    /// Its name on the command line and on the page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Operator => "operator",
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Realtime => "realtime",
            Self::Outbox => "outbox",
        }
    }
}

/// Measures, prints the table and writes it into its section of the page.
pub fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs().join("bench"));
    let table = match options.name {
        Subject::Data => {
            let cluster = cluster(&cache, options, &progress)?;
            data::measure(cluster.clone(), &progress)?.to_string()
        }
        Subject::Operator => {
            let cluster = cluster(&cache, options, &progress)?;
            operator::measure(&cluster, options.platforms, &progress)?.to_string()
        }
        Subject::Gateway => gateway::measure(&Loopback::prepare("gateway", options.quick, &progress)?)?,
        Subject::Auth => auth::measure(&Loopback::prepare("auth", options.quick, &progress)?)?,
        Subject::Realtime => realtime::measure(&Loopback::prepare("chat", options.quick, &progress)?)?,
        Subject::Outbox => outbox::measure(&Loopback::prepare("chat", options.quick, &progress)?)?,
    };
    println!("\n{table}");
    if !options.quick {
        let page = page::write(options.name.name(), &table)?;
        progress.say(format!("written into {}", page.display()));
    }
    Ok(())
}

/// A cluster with the operator.
fn cluster<'a>(cache: &Cache, options: &Options, progress: &'a Progress) -> Result<Temporary<'a>> {
    let built = images::compile(cache, progress)?;
    let cluster = Temporary::bring_up("bench", &options.cluster, progress)?;
    up::install(&cluster, &built, progress)?;
    Ok(cluster)
}
