//! The web client in a real browser.

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

use super::Stage;
use super::people::unique;
use crate::command::{Run, on_path};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

pub(super) fn two_people_register_in_a_browser_and_chat_live(stage: &Stage) -> Result<()> {
    let chromium = BROWSERS
        .iter()
        .find_map(|name| on_path(name))
        .ok_or_else(|| anyhow!("there is no browser: install the Debian package chromium"))?;
    let run = unique("x").replace('-', "");
    let order = json!({"url": stage.rest.url(), "chromium": chromium, "run": run});
    let output = Run::new("node").arg("browser.mjs").in_directory(stage.packages.folder()).input(order.to_string());
    let times: Value = serde_json::from_str(&output.output()?).context("the browser's run answers nonsense")?;
    stage.note(format!("shown after {} s there and {} s back", times["seconds"]["there"], times["seconds"]["back"]));
    Ok(())
}

/// Installs a browser where there is none and this user may.
pub(super) fn prepare() -> Result<()> {
    if BROWSERS.iter().any(|name| on_path(name).is_some()) || on_path("apt-get").is_none() {
        return Ok(());
    }
    Run::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Somebody else may be installing something at this moment.
        .args(["--option=DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"])
        .args(["chromium", "fonts-liberation"])
        .execute()
        .context("cannot install a browser: install the Debian package chromium")
}
