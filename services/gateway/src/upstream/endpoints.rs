//! All addresses of a service, as names tell them now, and which of them a request may go to.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    balance,
    endpoint::{Endpoint, Tag},
};

/// How long an address that names do not lead to any more still serves the sessions that it has: longer than a pod takes to
/// stop.
const DRAIN: Duration = Duration::from_mins(1);

/// The addresses of a service.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    current: Vec<Arc<Endpoint>>,
    leaving: Vec<(Arc<Endpoint>, Instant)>,
    /// Where somebody else balances, who may know better when nobody of `current` can be reached.
    fallback: Vec<Arc<Endpoint>>,
}

impl Endpoints {
    /// After names have led to `found`. Who was there before stays with all that is known of it; who is not any more leaves.
    #[must_use]
    pub fn after(&self, found: &[SocketAddr], now: Instant) -> Self {
        let current = self.renew(found);
        let is_current = |endpoint: &Endpoint| current.iter().any(|known| known.address() == endpoint.address());
        let gone = self.current.iter().map(|endpoint| (Arc::clone(endpoint), now));
        let leaving = self.leaving.iter().cloned().chain(gone);
        let leaving = leaving
            .filter(|(endpoint, since)| !is_current(endpoint) && now.saturating_duration_since(*since) < DRAIN)
            .collect();
        Self { current, leaving, fallback: self.fallback.clone() }
    }

    /// After the name of the one that balances has led to `found`.
    #[must_use]
    pub fn after_fallback(&self, found: &[SocketAddr]) -> Self {
        let fallback = found.iter().filter_map(|address| known_or_new(&self.fallback, *address)).collect();
        Self { fallback, ..self.clone() }
    }

    fn renew(&self, found: &[SocketAddr]) -> Vec<Arc<Endpoint>> {
        let known: Vec<_> =
            self.current.iter().chain(self.leaving.iter().map(|(endpoint, _)| endpoint)).cloned().collect();
        let mut current: Vec<Arc<Endpoint>> = Vec::with_capacity(found.len());
        for address in found {
            if !current.iter().any(|endpoint| endpoint.address() == *address) {
                current.extend(known_or_new(&known, *address));
            }
        }
        current
    }

    /// Those that names lead to.
    #[must_use]
    pub fn current(&self) -> &[Arc<Endpoint>] {
        &self.current
    }

    /// Whether there is anybody at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.is_empty() && self.leaving.is_empty() && self.fallback.is_empty()
    }

    /// Whether the same addresses stand in the same places.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let same = |ours: &[Arc<Endpoint>], theirs: &[Arc<Endpoint>]| {
            ours.len() == theirs.len()
                && ours.iter().all(|endpoint| theirs.iter().any(|known| Arc::ptr_eq(known, endpoint)))
        };
        same(&self.current, &other.current)
            && same(&self.fallback, &other.fallback)
            && self.leaving.len() == other.leaving.len()
    }

    /// The endpoint that has the session of a client, should it still be there.
    #[must_use]
    pub fn tagged(&self, tag: Tag) -> Option<Arc<Endpoint>> {
        let leaving = self.leaving.iter().map(|(endpoint, _)| endpoint);
        let mut all = self.current.iter().chain(leaving).chain(&self.fallback);
        all.find(|endpoint| endpoint.tag() == tag && !endpoint.is_aside()).cloned()
    }

    /// Whom the next attempt goes to, if anybody is left whom it did not go to yet. First those that are well; then whoever
    /// the balancer behind the service's own name knows; then those that are about to leave.
    #[must_use]
    pub fn choose(&self, tried: &[Arc<Endpoint>], mut pick: impl FnMut(usize) -> usize) -> Option<Arc<Endpoint>> {
        let open =
            |endpoint: &Arc<Endpoint>| !endpoint.is_aside() && !tried.iter().any(|known| Arc::ptr_eq(known, endpoint));
        let well: Vec<_> = self.current.iter().filter(|endpoint| open(endpoint) && !endpoint.turns_away()).collect();
        if !well.is_empty() {
            return balance::choose(&well, pick);
        }
        let leaving = self.current.iter().chain(self.leaving.iter().map(|(endpoint, _)| endpoint));
        let leaving: Vec<_> = leaving.filter(|endpoint| open(endpoint)).collect();
        let fallback: Vec<_> = self.fallback.iter().filter(|endpoint| open(endpoint)).collect();
        balance::choose(&fallback, &mut pick).or_else(|| balance::choose(&leaving, &mut pick))
    }
}

fn known_or_new(known: &[Arc<Endpoint>], address: SocketAddr) -> Option<Arc<Endpoint>> {
    let found = known.iter().find(|endpoint| endpoint.address() == address).cloned();
    // An address as text is an authority.
    found.or_else(|| Endpoint::new(address).ok().map(Arc::new))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 8080).into()
    }

    fn chosen(endpoints: &Endpoints, tried: &[Arc<Endpoint>]) -> Option<u8> {
        let endpoint = endpoints.choose(tried, |_| 0)?;
        match endpoint.address().ip() {
            std::net::IpAddr::V4(address) => Some(address.octets()[3]),
            std::net::IpAddr::V6(_) => None,
        }
    }

    #[test]
    fn who_is_still_there_keeps_what_is_known_of_it() {
        let now = Instant::now();
        let first = Endpoints::default().after(&[address(1), address(2)], now);
        assert!(first.current()[0].set_aside());
        let second = first.after(&[address(3), address(1), address(1)], now);
        assert_eq!(second.current().len(), 2);
        assert!(Arc::ptr_eq(&second.current()[1], &first.current()[0]));
        assert!(!first.is_like(&second) && second.is_like(&second.after(&[address(1), address(3)], now)));
    }

    #[test]
    fn who_leaves_gets_nothing_new_but_keeps_its_sessions_for_a_while() {
        let now = Instant::now();
        let before = Endpoints::default().after(&[address(1)], now);
        let tag = before.current()[0].tag();
        let after = before.after(&[address(2)], now);
        assert_eq!(chosen(&after, &[]), Some(2));
        assert_eq!(after.tagged(tag).unwrap().address(), address(1));
        let later = after.after(&[address(2)], now + DRAIN);
        assert!(later.tagged(tag).is_none());
        // Who comes back in between is the same.
        let back = after.after(&[address(1)], now);
        assert!(Arc::ptr_eq(&back.current()[0], &before.current()[0]));
    }

    #[test]
    fn attempts_go_from_the_well_to_the_balancer_to_the_leaving_and_never_to_who_is_set_aside() {
        let now = Instant::now();
        let endpoints = Endpoints::default()
            .after(&[address(1)], now)
            .after(&[address(2), address(3), address(4)], now)
            .after_fallback(&[address(9)]);
        let of = |last: u8| endpoints.tagged(Tag::of(address(last))).unwrap();
        assert!(of(4).set_aside());
        of(3).turn_away();
        let mut tried = Vec::new();
        let mut order = Vec::new();
        while let Some(last) = chosen(&endpoints, &tried) {
            order.push(last);
            tried.push(of(last));
        }
        assert_eq!(order, [2, 9, 3, 1]);
    }

    #[test]
    fn when_names_lead_nowhere_those_that_were_there_are_asked_rather_than_nobody() {
        let now = Instant::now();
        let endpoints = Endpoints::default().after(&[address(1)], now).after(&[], now);
        assert_eq!(chosen(&endpoints, &[]), Some(1));
        assert!(!endpoints.is_empty() && endpoints.after(&[], now + DRAIN).is_empty());
    }
}
