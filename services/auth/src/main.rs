//! The auth service.

use auth::settings::Settings;
use runtime::clock::Clock;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::load()?;
    runtime::telemetry::init(&settings.log)?;
    auth::service(&settings, Clock::system()).await?.run().await?;
    Ok(())
}
