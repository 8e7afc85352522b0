//! Keeps in sight which addresses a service has.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    Base,
    discovery::Names,
    endpoint::{Endpoint, Tag},
    endpoints::Endpoints,
};

/// Names are not asked again sooner than this, however many requests fail.
const NOT_BEFORE: Duration = Duration::from_millis(50);

/// Where a service is found.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    /// Its base URL. The host is what requests name as theirs.
    pub base: Base,
    /// A name of all of its addresses. Without one they are those of `base`; with one, `base` is asked when none of them answers.
    pub endpoints: Option<Base>,
    /// How often names are asked.
    pub refresh: Duration,
}

/// The addresses of a service, as far as they are known.
#[derive(Debug)]
pub struct Lookout {
    whereabouts: Whereabouts,
    names: Names,
    endpoints: ArcSwap<Endpoints>,
    /// Whether names were asked at all.
    looked: watch::Sender<bool>,
    look_soon: Notify,
    names_fail: AtomicBool,
}

/// What a look has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The addresses that names lead to now.
    pub addresses: Vec<SocketAddr>,
    /// Whether one of them is new.
    pub has_new: bool,
}

impl Lookout {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(whereabouts: Whereabouts, names: Names) -> Self {
        Self {
            whereabouts,
            names,
            endpoints: ArcSwap::default(),
            looked: watch::Sender::new(false),
            look_soon: Notify::new(),
            names_fail: AtomicBool::new(false),
        }
    }

    /// The base URL.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.whereabouts.base
    }

    /// Whom the next attempt goes to: the endpoint of the session that a request belongs to, or whoever has least in hand of
    /// two; nobody twice.
    #[must_use]
    pub fn choose(&self, tag: Option<Tag>, tried: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let own = tag.and_then(|tag| endpoints.tagged(tag));
        own.filter(|own| !tried.iter().any(|known| Arc::ptr_eq(known, own)))
            .or_else(|| endpoints.choose(tried, |below| rand::random_range(0..below)))
    }

    /// Whether there is nobody to choose.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.load().is_empty()
    }

    /// Has names asked soon: something is not as it was.
    pub fn look_soon(&self) {
        self.look_soon.notify_one();
    }

    /// Waits until names were asked for the first time.
    pub async fn wait_for_first_look(&self) {
        if !*self.looked.borrow() {
            // The sender is ours, and so there as long as we are.
            let _ = self.looked.subscribe().wait_for(|looked| *looked).await;
        }
    }

    /// Waits until it is time to look again.
    pub async fn until_next(&self) {
        sleep(NOT_BEFORE).await;
        let _ = timeout(self.whereabouts.refresh, self.look_soon.notified()).await;
    }

    /// Asks names, and tells what that has changed.
    pub async fn look(&self) -> Option<Change> {
        let main = self.whereabouts.endpoints.as_ref().unwrap_or(&self.whereabouts.base);
        let found = self.ask(main).await;
        let found_fallback = match &self.whereabouts.endpoints {
            Some(_) => self.ask(&self.whereabouts.base).await,
            None => None,
        };
        let before = self.endpoints.load_full();
        let mut after = Endpoints::clone(&before);
        if let Some(found) = found {
            after = after.after(&found, Instant::now());
        }
        if let Some(found) = found_fallback {
            after = after.after_fallback(&found);
        }
        let change = (!after.is_like(&before)).then(|| change(&before, &after));
        if change.is_some() {
            self.endpoints.store(Arc::new(after));
        }
        self.looked.send_replace(true);
        change
    }

    /// None if the name server does not say: then what is known stays.
    async fn ask(&self, base: &Base) -> Option<Vec<SocketAddr>> {
        match self.names.addresses(base).await {
            Ok(addresses) => {
                self.names_fail.store(false, Ordering::Relaxed);
                Some(addresses)
            }
            Err(error) => {
                if !self.names_fail.swap(true, Ordering::Relaxed) {
                    let error = runtime::telemetry::chain(&error);
                    tracing::warn!(host = base.host(), error, "the name server does not say; going by what it said");
                }
                None
            }
        }
    }
}

fn change(before: &Endpoints, after: &Endpoints) -> Change {
    let is_new = |endpoint: &Arc<Endpoint>| !before.current().iter().any(|old| Arc::ptr_eq(old, endpoint));
    Change {
        addresses: after.current().iter().map(|endpoint| endpoint.address()).collect(),
        has_new: after.current().iter().any(is_new),
    }
}
