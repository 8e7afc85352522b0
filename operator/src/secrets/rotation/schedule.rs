use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Kind, State};

/// When a ring is to rotate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How old a generation may grow.
    pub every: SignedDuration,
    /// The number that asks for a rotation by being higher than before.
    pub revision: i32,
    /// Whether that drops the old generation at once.
    pub revoke: bool,
}

impl Plan {
    /// When the generation in use is due to be replaced by its age: within the last tenth of its time, at a moment that the platform's
    /// identity decides, so that platforms do not rotate all at once and none ever later than it should.
    #[must_use]
    pub fn due(&self, kind: Kind, state: &State) -> Timestamp {
        let digest = Sha256::new().chain_update(&state.platform).chain_update(kind.field()).finalize();
        let share = i64::from(u16::from_be_bytes([digest[0], digest[1]]));
        let earlier = SignedDuration::from_secs(self.every.as_secs() / 10 * share / i64::from(u16::MAX));
        state.rotated_at.saturating_add(self.every - earlier).unwrap_or(Timestamp::MAX)
    }

    /// Whether the document asks for a rotation that was not begun yet.
    #[must_use]
    pub fn asks(&self, state: &State) -> bool {
        self.revision > state.revision
    }
}
