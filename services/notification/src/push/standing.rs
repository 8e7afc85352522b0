//! How the platform stands with Firebase Cloud Messaging, for `/health`.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How long a device of another project is told of.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What went wrong last. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    /// Why the last push did not get through, if it did not.
    fault: Option<String>,
    /// When a device was found to be another project's.
    mismatched_at: Option<Timestamp>,
}

impl Standing {
    /// A push got through.
    pub(super) fn good(&self) {
        self.last(|last| last.fault = None);
    }

    /// A push did not get through, for a reason that concerns all of them.
    pub(super) fn failed(&self, reason: &str) {
        self.last(|last| last.fault = Some(reason.to_owned()));
    }

    /// A device's token belongs to another project.
    pub(super) fn mismatched(&self, now: Timestamp) {
        self.last(|last| last.mismatched_at = Some(now));
    }

    /// For [`runtime::health::Health::inform`].
    pub fn check(&self, now: Timestamp) -> Result<(), String> {
        self.last(|last| {
            if let Some(fault) = &last.fault {
                return Err(fault.clone());
            }
            match last.mismatched_at {
                Some(at) if now.duration_since(at) < TOLD_FOR => Err(
                    "a device was registered with another Firebase project than push.project_id: its client has another configuration"
                        .to_owned(),
                ),
                _ => Ok(()),
            }
        })
    }

    fn last<T>(&self, what: impl FnOnce(&mut Last) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_until_a_push_gets_through_and_a_foreign_device_for_an_hour() {
        let (standing, now) = (Standing::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(standing.check(now), Ok(()));
        standing.failed("away");
        assert_eq!(standing.check(now), Err("away".to_owned()));
        standing.mismatched(now);
        standing.good();
        assert!(standing.check(now + SignedDuration::from_mins(59)).is_err());
        assert_eq!(standing.check(now + SignedDuration::from_hours(1)), Ok(()));
    }
}
