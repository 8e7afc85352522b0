//! The platform under test and the ways to use it.

use std::cell::RefCell;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::NamedTempFile;

use super::browser;
use super::people::Person;
use super::rest::Rest;
use super::site::Site;
use super::wait::until;
use crate::cluster::Cluster;
use crate::progress::Progress;
use crate::source;
use crate::test::Packages;

const USABLE_LIMIT: Duration = Duration::from_secs(10);
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
    /// From applying the document to an answer of every service.
    pub(crate) answers_after: Duration,
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
        let certificate = authority_of(&site)?;
        let authority = NamedTempFile::new()?;
        fs::write(authority.path(), &certificate)?;
        let rest = Rest::new(&site.cluster.url(), &certificate)?;
        let notes = RefCell::default();
        let mut stage = Self { site, rest, packages, ready_after, answers_after: ready_after, authority, notes };
        stage.answers_after += progress.step("every service answers", CURE, |_| stage.wait_until_usable())?;
        Ok(stage)
    }

    /// Waits until the platform is Ready and then until every service answers through the edge; answers how long the latter
    /// took. A Service's new pods are known to the nodes' proxies only a moment after they are Ready.
    pub(crate) fn wait_until_usable(&self) -> Result<Duration> {
        self.wait_until_ready()?;
        let began = Instant::now();
        until("every service answers", USABLE_LIMIT, || {
            let person = Person::register(self, "first")?;
            for path in ["/api/v1/conversations", "/api/v1/notifications"] {
                person.get(self, path)?.expect(200)?;
            }
            person.get(self, "/api/v1/media/00000000000000000000000000")?.expect(404)?;
            Ok(())
        })?;
        Ok(began.elapsed())
    }

    /// Trusts the platform's authority as it is now: a platform that was made anew has a new one.
    pub(crate) fn trust_anew(&self) -> Result<()> {
        let certificate = authority_of(&self.site)?;
        fs::write(self.authority.path(), &certificate)?;
        self.rest.trust(&certificate)
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

/// The certificate of the authority that signed the edge's.
fn authority_of(site: &Site) -> Result<String> {
    site.secret(&format!("{}-edge-tls", site.platform), "ca.crt")
}
