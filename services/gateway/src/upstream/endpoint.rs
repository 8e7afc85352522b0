//! One address of a service: how much it has in hand, and whether it is set aside.

use std::{
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::{Authority, InvalidUri};
use sha2::{Digest, Sha256};

/// How many requests in a row may break off before an address that takes connections is set aside nevertheless.
const BROKEN_IN_A_ROW: u32 = 5;
/// How long an address that was set aside is left alone before it is probed: at first, and at most. Doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one that asks its clients to leave is passed over. By then names do not lead there any more, or it had other
/// reasons to close a connection.
const TURNED_AWAY_FOR: Duration = Duration::from_secs(10);

/// One address of a service.
pub struct Endpoint {
    address: SocketAddr,
    authority: Authority,
    tag: Tag,
    began: Instant,
    in_flight: AtomicUsize,
    broken_in_a_row: AtomicU32,
    is_aside: AtomicBool,
    pauses: AtomicU32,
    /// Milliseconds after `began` until which it asked to be passed over.
    turned_away_until: AtomicU64,
}

/// What clients may know an address by: it says nothing of the address to who does not know it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(u64);

/// The text is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 16 hexadecimal digits")]
pub struct InvalidTag;

impl Endpoint {
    /// Nothing is known of it yet.
    pub fn new(address: SocketAddr) -> Result<Self, InvalidUri> {
        Ok(Self {
            address,
            authority: address.to_string().parse()?,
            tag: Tag::of(address),
            began: Instant::now(),
            in_flight: AtomicUsize::new(0),
            broken_in_a_row: AtomicU32::new(0),
            is_aside: AtomicBool::new(false),
            pauses: AtomicU32::new(0),
            turned_away_until: AtomicU64::new(0),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, as a URL says it.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What clients may know it by.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Requests and sockets that it has from us.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it takes no connections, as far as we know.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        self.is_aside.load(Ordering::Relaxed)
    }

    /// Whether it has asked its clients to go elsewhere.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.turned_away_until.load(Ordering::Relaxed) > self.age()
    }

    /// It answered.
    pub fn answered(&self) {
        self.broken_in_a_row.store(0, Ordering::Relaxed);
        self.pauses.store(0, Ordering::Relaxed);
    }

    /// It closes its connections, as a pod does that is about to stop.
    pub fn turn_away(&self) {
        let until = self.age().saturating_add(milliseconds(TURNED_AWAY_FOR));
        self.turned_away_until.store(until, Ordering::Relaxed);
    }

    /// It broke a request off. True if that was once too often.
    #[must_use]
    pub fn broke_off(&self) -> bool {
        self.broken_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= BROKEN_IN_A_ROW
    }

    /// Sets it aside. True if it was not.
    #[must_use]
    pub fn set_aside(&self) -> bool {
        !self.is_aside.swap(true, Ordering::Relaxed)
    }

    /// Takes it back: it can be connected to.
    pub fn take_back(&self) {
        self.broken_in_a_row.store(0, Ordering::Relaxed);
        self.is_aside.store(false, Ordering::Relaxed);
    }

    /// How long to leave it alone before the next probe.
    #[must_use]
    pub fn next_pause(&self) -> Duration {
        let before = self.pauses.fetch_add(1, Ordering::Relaxed).min(16);
        (FIRST_PAUSE * 2_u32.pow(before)).min(LONGEST_PAUSE)
    }

    fn age(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("in_flight", &self.in_flight())
            .field("is_aside", &self.is_aside())
            .finish_non_exhaustive()
    }
}

/// One request or socket at an endpoint, counted for as long as this lives.
#[derive(Debug)]
pub struct Lease(Arc<Endpoint>);

impl Lease {
    /// One more.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(endpoint)
    }

    /// Where.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tag {
    /// The same for the same address, in every gateway.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let digest = Sha256::digest(address.to_string());
        Self(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let is_tag = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_tag { u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidTag) } else { Err(InvalidTag) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn endpoint() -> Arc<Endpoint> {
        Arc::new(Endpoint::new("10.0.0.1:8080".parse().unwrap()).unwrap())
    }

    #[test]
    fn what_an_endpoint_has_in_hand_is_counted_until_it_is_let_go() {
        let endpoint = endpoint();
        let leases = [Lease::new(Arc::clone(&endpoint)), Lease::new(Arc::clone(&endpoint))];
        assert_eq!(endpoint.in_flight(), 2);
        drop(leases);
        assert_eq!(endpoint.in_flight(), 0);
    }

    #[test]
    fn one_that_breaks_off_again_and_again_is_too_much_and_an_answer_in_between_makes_up_for_it() {
        let endpoint = endpoint();
        assert_eq!([(); 4].map(|()| endpoint.broke_off()), [false; 4]);
        endpoint.answered();
        assert_eq!([(); 5].map(|()| endpoint.broke_off()), [false, false, false, false, true]);
    }

    #[test]
    fn the_pauses_between_probes_double_up_to_a_bound_and_begin_anew_after_an_answer() {
        let endpoint = endpoint();
        let pauses: Vec<_> = (0..40).map(|_| endpoint.next_pause()).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert!(pauses[5..].iter().all(|pause| *pause == LONGEST_PAUSE));
        endpoint.answered();
        assert_eq!(endpoint.next_pause(), FIRST_PAUSE);
    }

    #[test]
    fn only_the_first_to_set_one_aside_is_told_so() {
        let endpoint = endpoint();
        assert_eq!([endpoint.set_aside(), endpoint.set_aside(), endpoint.is_aside()], [true, false, true]);
        endpoint.take_back();
        assert!(!endpoint.is_aside() && endpoint.set_aside());
    }

    #[test]
    fn a_tag_is_read_as_it_was_written_and_differs_by_address() {
        let tag = endpoint().tag();
        assert_eq!(tag.to_string().parse::<Tag>(), Ok(tag));
        assert_ne!(tag, Tag::of("10.0.0.2:8080".parse().unwrap()));
        for text in ["", "0", "+00000000000000a", "00000000000000zz", "00000000000000000"] {
            assert_eq!(text.parse::<Tag>(), Err(InvalidTag), "{text}");
        }
    }

    #[test]
    fn an_address_of_ipv6_is_an_authority_too() {
        let endpoint = Endpoint::new("[fd00::1]:8080".parse().unwrap()).unwrap();
        assert_eq!(endpoint.authority().as_str(), "[fd00::1]:8080");
    }
}
