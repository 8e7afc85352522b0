//! `cargo e2e`: a platform on this machine, and its tests.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the harness talks to a person at a terminal")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::cluster::{DEFAULT_EDGE_PORT, DEFAULT_NAME, Ports};
use e2e::{bench, down, environment, interrupt, look, offline, test, up};

/// A platform on this machine, and its tests
#[derive(Parser)]
#[command(name = "cargo e2e", disable_help_subcommand = true)]
struct Arguments {
    /// Which cluster: several can be up beside each other, each with a port of its own
    #[arg(long, global = true, default_value = DEFAULT_NAME)]
    cluster: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// From whatever is there to a running platform
    Up {
        /// The port of this machine at which the platform is reached
        #[arg(long, default_value_t = DEFAULT_EDGE_PORT)]
        port: u16,
        /// Only the cluster, without the operator and a platform
        #[arg(long)]
        bare: bool,
    },
    /// Remove everything that `up` made; what was built stays in the cache
    Down,
    /// What runs, and where
    Status,
    /// What a component says, or what a step of `up` printed
    Logs {
        /// A component (chat, mongodb, operator, ...), a pod, or a step
        name: String,
    },
    /// The address at which this machine reaches the platform
    Url,
    /// The path of the cluster's kubeconfig
    Kubeconfig,
    /// Every test, or the part that is named
    Test(test::Options),
    /// Measure something, print the table and write it into docs/reference/benchmarks.md
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == offline::capability::NAME) {
        let arguments: Vec<_> = arguments.collect();
        return report(offline::capability::become_runc(&arguments).map(|()| true));
    }
    // Before anything that a program started in this one's place would inherit.
    report(
        environment::without_cargos_variables()
            .and_then(|()| interrupt::install())
            .and_then(|()| run(&Arguments::parse())),
    )
}

fn report(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if interrupt::interrupted() => {
            eprintln!("\nstopped: run the same command again to go on, or `cargo e2e down` to remove what there is");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { cluster, command }: &Arguments) -> Result<bool> {
    match command {
        Command::Up { port, bare: true } => up::bare(cluster, Ports { edge: *port })?,
        Command::Up { port, bare: false } => up::up(cluster, Ports { edge: *port })?,
        Command::Down => down::down(cluster)?,
        Command::Status => look::status()?,
        Command::Logs { name } => look::logs(cluster, name)?,
        Command::Url => look::url(cluster)?,
        Command::Kubeconfig => look::kubeconfig(cluster)?,
        Command::Test(options) => return test::run(options),
        Command::Bench(options) => bench::run(options)?,
    }
    Ok(true)
}
