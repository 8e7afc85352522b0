//! The platform under test and the ways to use it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::deletion;
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
    /// The same as `ready_after` for the platform that took its place, if one did.
    pub(crate) next_ready_after: Cell<Option<Duration>>,
    /// Whether that one could not be made, so that it need not be tried again.
    pub(crate) next_failed: Cell<bool>,
    authority: NamedTempFile,
    notes: RefCell<Vec<String>>,
}

impl Stage {
    /// Makes the platform in a cluster whose operator runs and whose nodes hold all images.
    pub(crate) fn set_up(cluster: Cluster, progress: &Progress) -> Result<Self> {
        let packages = progress
            .step("clients for scenarios", CURE, |_| Packages::installed(&source::root()?.join("e2e/client")))?;
        let site = Site::new(cluster, NAMESPACE)?;
        progress.step("catchers of mail and traces", CURE, |_| site.prepare())?;
        // On a cluster that an earlier run kept, another platform may be there, and not every one becomes a small one again.
        if site.is_taken()? && !site.would_be_accepted() {
            progress.step("remove the platform of an earlier run", CURE, |_| deletion::remove_with_all_data(&site))?;
        }
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
        let mut stage = Self {
            site,
            rest,
            packages,
            ready_after,
            answers_after: ready_after,
            next_ready_after: Cell::default(),
            next_failed: Cell::default(),
            authority,
            notes: RefCell::default(),
        };
        stage.answers_after += progress.step("every service answers", CURE, |_| stage.wait_until_usable())?;
        Ok(stage)
    }

    /// Removes the platform on stage with its data, and makes another one in its place.
    pub(crate) fn replace_platform(&self, document: Value) -> Result<()> {
        self.next_ready_after.set(None);
        if self.is_taken()? {
            deletion::remove_with_all_data(self)?;
        }
        self.plan(document);
        let took = self.apply_platform()?;
        self.next_ready_after.set(Some(took));
        self.trust_anew()?;
        self.wait_until_usable().map(drop)
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

    /// The same as its content.
    pub(crate) fn authority(&self) -> Result<String> {
        fs::read_to_string(self.authority.path()).context("the certificate that was kept is gone")
    }

    /// Has a number printed beside the running scenario's result.
    pub(crate) fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    pub(crate) fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }
}

impl AsRef<Rest> for Stage {
    fn as_ref(&self) -> &Rest {
        &self.rest
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
