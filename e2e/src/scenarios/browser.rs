//! The web client in a real browser.

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::people::unique;
use crate::command::{Run, on_path};
use crate::offline::packages;

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

pub(super) fn two_people_register_in_a_browser_and_chat_live(stage: &Stage) -> Result<()> {
    let told = in_browser(stage, "browser.mjs", json!({"run": unique("x").replace('-', "")}))?;
    stage.note(format!("shown after {} s there and {} s back", told["seconds"]["there"], told["seconds"]["back"]));
    Ok(())
}

pub(super) fn a_page_shows_what_every_service_answers_and_loads_nothing_from_elsewhere(stage: &Stage) -> Result<()> {
    let told = in_browser(stage, "documentation.mjs", json!({}))?;
    for service in ["auth", "chat", "media", "notification"] {
        let operations = told["operations"][service].as_u64().unwrap_or_default();
        ensure!(operations > 0, "of {service} nothing is shown: {told}");
    }
    stage.note(format!("operations: {}", told["operations"]));
    Ok(())
}

/// Runs one of the client's scripts with a browser, the platform's address and what `order` says besides.
fn in_browser(stage: &Stage, script: &str, mut order: Value) -> Result<Value> {
    let chromium = BROWSERS
        .iter()
        .find_map(|name| on_path(name))
        .ok_or_else(|| anyhow!("there is no browser: install the Debian package chromium"))?;
    order["url"] = stage.rest.url().into();
    order["chromium"] = chromium.to_string_lossy().into();
    let output = Run::new("node").arg(script).in_directory(stage.packages.folder()).input(order.to_string());
    serde_json::from_str(&output.output()?).with_context(|| format!("{script} answers nonsense"))
}

/// Installs a browser where there is none and this user may.
pub(super) fn prepare() -> Result<()> {
    if BROWSERS.iter().any(|name| on_path(name).is_some()) || on_path("apt-get").is_none() {
        return Ok(());
    }
    packages::install(&["chromium", "fonts-liberation"])
}
