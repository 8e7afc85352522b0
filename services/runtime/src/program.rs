//! A service as a program: settings in, logs on, the service put together and run.

use anyhow::Context as _;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::config::{self, Log, Section};
use crate::service::Service;
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
    // Two providers are linked, so one has to be chosen before any connection is described. It fails only if one is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings: S = config::load(S::DEFAULTS)?;
    // Until the end, when it sends the last of the traces.
    let _telemetry = telemetry::init(S::NAME, &settings.log()).context("cannot set up logs and traces")?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let service = threads.block_on(assemble(&settings, Clock::system()))?;
    Ok(threads.block_on(service.run())?)
}
