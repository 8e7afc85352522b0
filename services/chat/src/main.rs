//! The chat service.

use chat::settings::Settings;
use runtime::clock::Clock;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Two providers are linked, so one has to be chosen before any connection is described. It fails only if one is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::load()?;
    runtime::telemetry::init(&settings.log)?;
    chat::service(&settings, Clock::system()).await?.run().await?;
    Ok(())
}
