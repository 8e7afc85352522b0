//! The platform under test and the ways to use it.

use std::cell::RefCell;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tempfile::NamedTempFile;

use super::browser;
use super::rest::Rest;
use super::site::Site;
use crate::cluster::Cluster;
use crate::progress::Progress;
use crate::source;
use crate::test::Packages;

const NAMESPACE: &str = "scenarios";
const CURE: &str = "Mend what is said above, then run the command again; `--keep` keeps the cluster for looking.";

/// The platform of `examples/minimal.yaml`, Ready, with clients that can use it.
pub(crate) struct Stage {
    site: Site,
    pub(crate) rest: Rest,
    /// The Node programs of `e2e/client`.
    pub(crate) packages: Packages,
    /// From applying the document to Ready, images being there.
    pub(crate) ready_after: Duration,
    authority: NamedTempFile,
    notes: RefCell<Vec<String>>,
}

impl Stage {
    /// Makes the platform in a cluster whose operator runs and whose nodes hold all images.
    pub(crate) fn set_up(cluster: Cluster, progress: &Progress) -> Result<Self> {
        let packages = progress.step("clients for scenarios", CURE, |_| {
            browser::prepare()?;
            Packages::installed(&source::root()?.join("e2e/client"))
        })?;
        let site = Site::new(cluster, NAMESPACE)?;
        progress.step("mail catcher", CURE, |_| site.prepare())?;
        let ready_after = progress.step("platform Ready", CURE, |log| {
            site.apply_platform().inspect_err(|_| {
                // Without it, the error alone is shown.
                let _ = log.note(&site.evidence());
            })
        })?;
        let certificate = site.secret(&format!("{}-edge-tls", site.platform), "ca.crt")?;
        let authority = NamedTempFile::new()?;
        fs::write(authority.path(), &certificate)?;
        let rest = Rest::new(&site.cluster.url(), &certificate)?;
        Ok(Self { site, rest, packages, ready_after, authority, notes: RefCell::default() })
    }

    /// The certificate of the platform's own authority, as a PEM file.
    pub(crate) fn authority_file(&self) -> &Path {
        self.authority.path()
    }

    /// Has a number printed beside the running scenario's result.
    pub(crate) fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    pub(crate) fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }
}

impl Deref for Stage {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}
