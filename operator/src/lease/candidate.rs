//! What a candidate makes of the lease it sees: pure, with the time given.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

/// One candidate and what it has seen.
pub(super) struct Candidate {
    lease: String,
    identity: String,
    duration: Duration,
    seen: Option<Lease>,
    /// Since when the lease has been as it was last seen, by this candidate's own clock.
    unchanged_since: Option<Instant>,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Another holds the lease.
    Follow(String),
    /// There is none: make it.
    Create(Lease),
    /// Renew or take over, if it still is as it was seen.
    Replace(Lease),
}

impl Candidate {
    pub(super) fn new(lease: &str, identity: &str, duration: Duration) -> Self {
        Self { lease: lease.to_owned(), identity: identity.to_owned(), duration, seen: None, unchanged_since: None }
    }

    pub(super) fn lease_name(&self) -> &str {
        &self.lease
    }

    /// Whether the lease, as it was last seen, is ours; then it can be renewed without reading it first.
    pub(super) fn holds(&self) -> bool {
        self.seen.as_ref().and_then(holder) == Some(&self.identity)
    }

    /// Takes note of the lease as the server has it.
    pub(super) fn saw(&mut self, lease: Option<Lease>, now: Instant) {
        let version = |lease: &Option<Lease>| lease.as_ref()?.metadata.resource_version.clone();
        if self.unchanged_since.is_none() || version(&self.seen) != version(&lease) {
            self.unchanged_since = Some(now);
        }
        self.seen = lease;
    }

    /// Ours may no longer be what the server has: read before the next decision. How long another's has been unchanged is still
    /// known.
    pub(super) fn forget(&mut self) {
        if self.holds() {
            self.seen = None;
            self.unchanged_since = None;
        }
    }

    /// What to do about the lease as it was last seen; `wall` is for people who look at it.
    pub(super) fn next(&self, now: Instant, wall: Timestamp) -> Next {
        let Some(seen) = &self.seen else {
            return Next::Create(Lease {
                metadata: ObjectMeta { name: Some(self.lease.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None, wall)),
            });
        };
        match holder(seen) {
            Some(other) if *other != self.identity && !self.expired(seen, now) => Next::Follow(other.clone()),
            _ => Next::Replace(Lease { spec: Some(self.spec(seen.spec.as_ref(), wall)), ..seen.clone() }),
        }
    }

    /// Our lease given back: with no holder, to be taken at once.
    pub(super) fn released(&mut self, wall: Timestamp) -> Option<Lease> {
        if !self.holds() {
            return None;
        }
        let mut lease = self.seen.take()?;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(wall));
        Some(lease)
    }

    fn expired(&self, seen: &Lease, now: Instant) -> bool {
        let seconds = seen.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
        let duration = u64::try_from(seconds).map_or(self.duration, Duration::from_secs);
        self.unchanged_since.is_some_and(|since| now.duration_since(since) >= duration)
    }

    fn spec(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let renewal = before.and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.identity);
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        let acquired = before.and_then(|spec| spec.acquire_time.clone()).filter(|_| renewal);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            lease_transitions: Some(if renewal || before.is_none() { transitions } else { transitions + 1 }),
            acquire_time: Some(acquired.unwrap_or(MicroTime(wall))),
            renew_time: Some(MicroTime(wall)),
            ..LeaseSpec::default()
        }
    }
}

/// Who holds the lease; a released one has an empty holder.
fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
#[path = "simulation.rs"]
mod simulation;
