//! The gateway's binary.

use gateway::{app, settings::Settings};
use runtime::{config, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::load(gateway::settings::DEFAULTS)?;
    telemetry::init(&settings.log)?;
    app::service(&settings)?.run().await?;
    Ok(())
}
