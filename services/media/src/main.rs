//! The media service's program.

use anyhow::{Context, Result};
use media::{app, settings};
use runtime::{clock::Clock, config, telemetry};

#[tokio::main]
async fn main() -> Result<()> {
    let settings: settings::Settings = config::load(settings::DEFAULTS)?;
    telemetry::init(&settings.log).context("cannot set up logging")?;
    app::service(&settings, Clock::system()).await?.run().await?;
    Ok(())
}
