//! `cargo e2e down`: everything that `up` made goes, but for the cache; then it is looked for.

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::cluster;
use crate::offline::daemon::Daemon;
use crate::progress::Progress;

/// Removes the cluster `name` and what abandoned test runs left; the daemon ends with the last cluster.
pub fn down(name: &str) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs());
    let removed = cluster::remove_abandoned(&cache)?;
    for gone in &removed {
        progress.say(format!("✓ removed the cluster {gone}, which a test run that was killed had left"));
    }
    let was_there = cluster::names(&cache).iter().any(|known| known == name);
    cluster::remove(&cache, name, None)?;
    progress.say(if was_there {
        format!("✓ removed the cluster {name}")
    } else {
        format!("no cluster {name} is here")
    });
    let others = cluster::names(&cache);
    if !others.is_empty() {
        progress.say(format!("the Docker daemon stays: {} still uses it", others.join(", ")));
        return Ok(());
    }
    look_for_leftovers(&cache, &progress)
}

fn look_for_leftovers(cache: &Cache, progress: &Progress) -> Result<()> {
    let mut left = Vec::new();
    let mut clean = Vec::new();
    for check in Daemon::new(cache).machine().checks() {
        if check.left.is_empty() {
            clean.push(check.what);
        } else {
            left.push(format!("{}:\n  {}", check.what, check.left.join("\n  ")));
        }
    }
    if !clean.is_empty() {
        progress.say(format!("✓ nothing is left of: {}", clean.join(", ")));
    }
    if !left.is_empty() {
        bail!(
            "this is left on the machine:\n{}\nRun `cargo e2e down` again; if it stays, a reboot clears it.",
            left.join("\n")
        );
    }
    progress.say(format!("what was built stays in {} for the next time", cache.root().display()));
    Ok(())
}
