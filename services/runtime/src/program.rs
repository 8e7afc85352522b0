//! A service as a program: settings in, logs on, the service put together and run.

use std::{env, ffi::OsString, io};

use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use serde::{Deserialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Fault, Log, MongoDb, Section, faults_of};
use crate::connect;
use crate::migrations::{self, Migration};
use crate::service::Service;
use crate::shutdown;
use crate::telemetry;

/// All settings of a service.
pub trait Settings: DeserializeOwned + Section {
    /// The service, as its traces name it.
    const NAME: &'static str;
    /// The embedded defaults (TOML).
    const DEFAULTS: &'static str;

    /// What is logged.
    fn log(&self) -> Log;
}

/// A service being put together. On the heap, so that it is compiled once, with the service, and not again in everything that awaits
/// it: the program and each test.
pub type Assembly<'a> = BoxFuture<'a, anyhow::Result<Service>>;

/// Runs the service that `assemble` puts together, until it is told to stop.
pub fn run<S: Settings>(assemble: fn(&S, Clock) -> Assembly<'_>) -> anyhow::Result<()> {
    choose_tls_provider();
    let settings: S = config::load(S::DEFAULTS)?;
    // Until the end, when it sends the last of the traces.
    let _telemetry = telemetry::init(S::NAME, &settings.log()).context("cannot set up logs and traces")?;
    let threads = threads()?;
    let service = threads.block_on(assemble(&settings, Clock::system()))?;
    Ok(threads.block_on(service.run())?)
}

/// The same of a service that has a database. With the argument `migrate` it does not serve, but takes the migrations that the database has
/// not been through, and ends.
pub fn run_or_migrate<S: Settings>(
    assemble: fn(&S, Clock) -> Assembly<'_>,
    steps: &'static [Migration],
) -> anyhow::Result<()> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => run(assemble),
        [command] if command == "migrate" => migrate(S::NAME, S::DEFAULTS, steps),
        unknown => bail!("{unknown:?} is no command: write `migrate`, or nothing to serve"),
    }
}

/// What a program must be told to migrate: less than to serve.
#[derive(Debug, Deserialize)]
struct MigrationSettings {
    log: Log,
    mongodb: MongoDb,
}

impl Section for MigrationSettings {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[("log", &self.log), ("mongodb", &self.mongodb)])
    }
}

fn migrate(name: &'static str, defaults: &str, steps: &'static [Migration]) -> anyhow::Result<()> {
    let settings = |settings: &MigrationSettings| settings.log.clone();
    errand(name, defaults, settings, async move |settings, stop| {
        let database = connect::mongodb(&settings.mongodb).await?;
        let taken = migrations::run(&database, steps, &stop).await?;
        tracing::info!(database = database.name(), taken = taken.join(", "), "every migration has been taken");
        Ok(())
    })
}

/// Runs a program that does not serve, but does one thing and ends: settings in, logs on, and `work` done, which has to end soon once the
/// token is cancelled, as the process was told to stop. `log` says what of the settings is of the log.
pub fn errand<S: DeserializeOwned + Section>(
    name: &'static str,
    defaults: &str,
    log: impl FnOnce(&S) -> Log,
    work: impl AsyncFnOnce(S, CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    choose_tls_provider();
    let settings: S = config::load(defaults)?;
    // Until the end, when it sends the last of the traces.
    let _telemetry = telemetry::init(name, &log(&settings)).context("cannot set up logs and traces")?;
    threads()?.block_on(async move {
        let stop = on_signal().context("cannot wait for signals")?;
        work(settings, stop).await
    })
}

/// Cancelled once the process is told to stop.
fn on_signal() -> io::Result<CancellationToken> {
    let asked = shutdown::asked_to_stop()?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        asked.await;
        stop.cancel();
    });
    Ok(token)
}

/// Two providers are linked, so one has to be chosen before any connection is described.
pub fn choose_tls_provider() {
    // It fails only if one is.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn threads() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")
}
