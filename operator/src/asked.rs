//! Which of the kinds that a cluster may not have are looked at. One that no document asks for costs nothing: it is neither watched, nor
//! listed more than once for each platform, to find what an earlier document has left.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::api::ChatPlatformSpec;
use crate::build::Optional;
use crate::observe::Observed;

/// What is known of these kinds.
#[derive(Debug, Default)]
pub struct Asked {
    /// Platforms that have no object of a kind, and do not ask for one. Nobody but this operator makes any.
    without: Mutex<HashSet<(String, Optional)>>,
    /// Cancelled once a platform has asked for the kind and the cluster has it; in the order of [`Optional::ALL`].
    begun: [CancellationToken; Optional::ALL.len()],
}

impl Asked {
    /// The kinds to look at for a platform.
    #[must_use]
    pub fn of(&self, uid: &str, spec: &ChatPlatformSpec) -> Vec<Optional> {
        let without = self.without();
        let is_needed = |kind: &Optional| kind.is_asked_for(spec) || !without.contains(&(uid.to_owned(), *kind));
        Optional::ALL.into_iter().filter(is_needed).collect()
    }

    /// Takes note of what was found.
    pub fn learn(&self, uid: &str, spec: &ChatPlatformSpec, observed: &Observed) {
        let mut without = self.without();
        for (kind, begun) in Optional::ALL.into_iter().zip(&self.begun) {
            let key = (uid.to_owned(), kind);
            if kind.is_asked_for(spec) {
                without.remove(&key);
                if !observed.lacks(kind) {
                    begun.cancel();
                }
            } else if observed.of_kind(kind).is_empty() {
                without.insert(key);
            }
        }
    }

    /// Cancelled from when on a kind is to be watched.
    #[must_use]
    pub fn begun(&self, kind: Optional) -> CancellationToken {
        let place = Optional::ALL.into_iter().position(|one| one == kind).unwrap_or_default();
        self.begun[place].clone()
    }

    /// Forgets a platform.
    pub fn forget(&self, uid: &str) {
        self.without().retain(|(platform, _)| platform != uid);
    }

    fn without(&self) -> MutexGuard<'_, HashSet<(String, Optional)>> {
        // A set is whole after any panic elsewhere.
        self.without.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;

    fn spec(type_: &str) -> ChatPlatformSpec {
        serde_json::from_value(json!({"host": "a.example", "exposure": {"type": type_}})).unwrap()
    }

    fn finding(kinds: &[Optional], ingresses: usize) -> Observed {
        let object = |kind: Optional| DynamicObject::new("acme-edge", &kind.resource());
        let found = |kind| (kind, Some(vec![object(kind); if kind == Optional::Ingress { ingresses } else { 0 }]));
        Observed { optional: kinds.iter().copied().map(found).collect(), ..Observed::default() }
    }

    #[test]
    fn a_kind_that_nobody_asks_for_is_looked_at_once() {
        let (asked, plain) = (Asked::default(), spec("ClusterIP"));
        let kinds = asked.of("u-1", &plain);
        assert_eq!(kinds, Optional::ALL);
        asked.learn("u-1", &plain, &finding(&kinds, 0));
        assert_eq!(asked.of("u-1", &plain), []);
        assert_eq!(asked.of("u-2", &plain), Optional::ALL, "each platform has objects of its own");
        assert!(!asked.begun(Optional::Ingress).is_cancelled());
        asked.forget("u-1");
        assert_eq!(asked.of("u-1", &plain), Optional::ALL);
    }

    #[test]
    fn a_kind_that_is_no_longer_asked_for_is_looked_at_until_nothing_is_left() {
        let (asked, plain, ingress) = (Asked::default(), spec("ClusterIP"), spec("Ingress"));
        asked.learn("u-1", &ingress, &finding(&Optional::ALL, 0));
        assert_eq!(asked.of("u-1", &plain), [Optional::Ingress]);
        asked.learn("u-1", &plain, &finding(&[Optional::Ingress], 1));
        assert_eq!(asked.of("u-1", &plain), [Optional::Ingress]);
        asked.learn("u-1", &plain, &finding(&[Optional::Ingress], 0));
        assert_eq!(asked.of("u-1", &plain), []);
    }

    #[test]
    fn a_kind_is_watched_once_it_is_asked_for_and_there() {
        let (asked, gateway) = (Asked::default(), spec("Gateway"));
        let absent = Observed { optional: [(Optional::HttpRoute, None)].into(), ..Observed::default() };
        asked.learn("u-1", &gateway, &absent);
        assert!(!asked.begun(Optional::HttpRoute).is_cancelled(), "a watch of it would find nothing, again and again");
        asked.learn("u-1", &gateway, &finding(&Optional::ALL, 0));
        assert!(asked.begun(Optional::HttpRoute).is_cancelled());
        assert!(!asked.begun(Optional::Certificate).is_cancelled());
    }
}
