//! The commands: `backup run` makes a backup, `backup restore` writes one into the databases of a new platform.

use std::ffi::OsString;
use std::path::Path;

use anyhow::bail;
use runtime::clock::Clock;
use runtime::program::errand;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::error::Error;
use crate::settings::{Backups, DEFAULTS, Restoring, Taking};
use crate::{restore, retention, take};

/// The most of a report that a cluster keeps (`terminationMessagePath`).
const REPORT_BYTES: usize = 4000;

/// Does what the arguments say.
pub fn main() -> anyhow::Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [command] if command == "run" => errand(
            "backup",
            DEFAULTS,
            |settings: &Taking| settings.log.clone(),
            async |settings, stop| {
                let outcome = run(&settings, &Clock::system(), &stop).await;
                told(&settings.backup, outcome)
            },
        ),
        [command] if command == "restore" => errand(
            "restore",
            DEFAULTS,
            |settings: &Restoring| settings.log.clone(),
            async |settings, stop| {
                let outcome = restored(&settings, &stop).await;
                told(&settings.backup, outcome)
            },
        ),
        unknown => bail!("{unknown:?} is no command: write `run` or `restore`"),
    }
}

/// Makes a backup, and removes those that are too many then. Answers what there is to report.
pub async fn run(settings: &Taking, clock: &Clock, stop: &CancellationToken) -> Result<serde_json::Value, Error> {
    let bucket = Bucket::new(&settings.object_storage, &settings.backup.prefix)?;
    let uri = text(&settings.mongodb.uri_file)?;
    let (name, manifest) = take::take(&bucket, &uri, &settings.backup.platform, clock, stop).await?;
    tracing::info!(backup = %name, at = %manifest.at, documents = manifest.documents(), bytes = manifest.bytes(), "the backup is whole");
    let gone = retention::apply(&bucket, settings.backup.retention, clock.now()).await;
    let mut report = json!({
        "backup": name.to_string(),
        "at": manifest.at.to_string(),
        "documents": manifest.documents(),
        "bytes": manifest.bytes(),
    });
    match gone {
        Ok(gone) => {
            for name in gone {
                tracing::info!(backup = %name, "removed");
            }
        }
        // The backup is there all the same.
        Err(error) => {
            tracing::warn!(%error, "older backups were not removed");
            report["warning"] = format!("older backups were not removed: {error}").into();
        }
    }
    Ok(report)
}

/// Restores a backup, or only reads it through. Answers what there is to report.
pub async fn restored(settings: &Restoring, stop: &CancellationToken) -> Result<serde_json::Value, Error> {
    let bucket = Bucket::new(&settings.object_storage, &settings.backup.prefix)?;
    let (name, manifest) = bucket.find(&settings.restore.from).await?;
    tracing::info!(backup = %name, at = %manifest.at, release = manifest.release, keys = ?manifest.keys, "the backup");
    let report = json!({
        "backup": name.to_string(),
        "at": manifest.at.to_string(),
        "documents": manifest.documents(),
        "bytes": manifest.bytes(),
        "keys": manifest.keys,
    });
    if settings.restore.check_only {
        restore::check(&bucket, &name, &manifest, stop).await?;
        tracing::info!(backup = %name, "the backup is whole and undamaged");
    } else {
        let target = restore::Target::open(|database| text(&settings.restore.uri_folder.join(database))).await?;
        restore::restore(&bucket, &name, &manifest, &target, stop).await?;
        tracing::info!(backup = %name, "restored");
    }
    Ok(report)
}

/// Leaves the outcome where the cluster shows it.
fn told(settings: &Backups, outcome: Result<serde_json::Value, Error>) -> anyhow::Result<()> {
    let (text, outcome) = match outcome {
        Ok(report) => (report.to_string(), Ok(())),
        Err(error) => (error.to_string(), Err(error.into())),
    };
    let file = &settings.report_file;
    if !file.as_os_str().is_empty()
        && let Err(error) = std::fs::write(file, &text[..text.floor_char_boundary(REPORT_BYTES)])
    {
        tracing::warn!(%error, file = %file.display(), "cannot write the report");
    }
    outcome
}

fn text(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|cause| Error::File { path: path.display().to_string(), cause })?;
    Ok(text.trim().to_owned())
}
