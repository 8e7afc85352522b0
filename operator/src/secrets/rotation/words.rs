//! What people read of a rotation.

use std::fmt::Write as _;

use super::{Decision, Kind, Lag, Move, Progress, StepName, Waiting};

/// Of so many of those who are in the way the names are told.
const TOLD: usize = 3;

impl Progress {
    /// What it waits for; none at rest.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match &self.decision {
            Decision::Rest(_) => None,
            Decision::Hold(why) => Some((*why).to_owned()),
            Decision::Wait(Waiting { lags, .. }) if !lags.is_empty() => Some(told(lags)),
            Decision::Wait(_) | Decision::Move(_) => self.state.step.as_ref().map(|step| waits(step.name).to_owned()),
        }
    }

    /// What has just been done, for an event.
    #[must_use]
    pub fn news(&self) -> Option<String> {
        let kind = self.kind.field();
        let generation = self.state.generation;
        let done = match self.step_taken()? {
            Move::Add => format!("generation {} is there", generation + 1),
            Move::Accepted => format!("every consumer accepts generation {}", generation + 1),
            Move::Switch => format!("generation {generation} is in use"),
            Move::Proven => format!("every consumer uses generation {generation}"),
            Move::Retire => "nothing needs the old generation any more, and it is gone".to_owned(),
            Move::Done => return Some(format!("{kind}: nobody accepts the old generation any more")),
            Move::Revoke => format!("generation {generation} has taken the place of all others at once"),
        };
        let then = self.state.step.as_ref().map_or("", |step| waits(step.name));
        Some(format!("{kind}: {done}; {then}"))
    }

    /// Why it does not go on, and what to do; none while it does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let Decision::Wait(Waiting { lags, is_stuck: true, .. }) = &self.decision else { return None };
        let step = self.state.step.as_ref()?;
        let cure = match step.name {
            StepName::Retire if self.kind == Kind::MessageKeys => "see the logs of the services that hold it",
            _ => "see that each is ready and its node is well; a pod that is deleted comes back with the new keys",
        };
        Some(format!(
            "the rotation of {} is stuck at {} since {}: {}: {cure}. It goes on by itself",
            self.kind.field(),
            step.name.as_str(),
            step.since,
            told(lags)
        ))
    }
}

fn waits(step: StepName) -> &'static str {
    match step {
        StepName::Spread => "waits until every consumer accepts it",
        StepName::Switch => "waits until caches of the published keys have it",
        StepName::Prove => "waits until every consumer uses it",
        StepName::Retire => "waits until nothing made with the old generation is left",
        StepName::Refuse => "waits until nobody accepts the old generation any more",
    }
}

fn told(lags: &[Lag]) -> String {
    let mut words = lags.iter().take(TOLD).map(|lag| lag.words.as_str()).collect::<Vec<_>>().join(", ");
    if lags.len() > TOLD {
        // Writing to a String does not fail.
        let _ = write!(words, ", and {} more", lags.len() - TOLD);
    }
    words
}
