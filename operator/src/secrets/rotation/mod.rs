//! Rotation: how one generation of a secret takes the place of another while everybody goes on working.
//!
//! There is one machine for every kind of secret. Its steps, of which each is written down together with the ring ([`State`]) before the
//! next is decided on:
//!
//! | step | what was done | what it waits for |
//! |---|---|---|
//! | Spread | the new generation was added | every consumer says that it accepts it |
//! | Switch | | caches of what is published have it |
//! | Prove | the new generation came to be used | everybody says that it is used |
//! | Retire | | what the old one made has ended, or has been made anew |
//! | Refuse | the old generation was taken away | nobody accepts it any more |
//!
//! Kinds differ in who the consumers are, how long what is published is kept in caches, and when what the old generation made has ended
//! ([`Kind`]), and in what a generation is ([`Ring`]). What consumers do is told by themselves ([`Testimony`]), and believed rather than a
//! timer. Credentials are accepted by servers rather than by consumers: what those accept and refuse is what provisioning has made of them
//! ([`Acceptance`]).

#[cfg(test)]
mod cases;
mod evidence;
mod kind;
mod machine;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
mod ring;
mod schedule;
mod state;
mod words;

use jiff::{SignedDuration, Timestamp};
use rand::CryptoRng;

pub use evidence::{Acceptance, Heard, Lag, Testimony};
pub use kind::Kind;
pub use machine::{Circumstances, Decision, Move, Waiting};
pub use ring::Ring;
pub use schedule::Plan;
pub use state::{ANNOTATION, State, Step, StepName};

use super::Material;
use evidence::Evidence;

/// How soon to look again at a rotation under way, as long as its step is young and after that.
const LOOK: SignedDuration = SignedDuration::from_secs(5);
const LOOK_LATER: SignedDuration = SignedDuration::from_secs(30);
const YOUNG: SignedDuration = SignedDuration::from_mins(5);

/// When the rings of a platform are to rotate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plans {
    /// The signing keys.
    pub signing_keys: Plan,
    /// The message keys.
    pub message_keys: Plan,
    /// The credentials.
    pub credentials: Plan,
}

impl Plans {
    /// The plan of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Plan {
        match kind {
            Kind::SigningKeys => &self.signing_keys,
            Kind::MessageKeys => &self.message_keys,
            Kind::Credentials => &self.credentials,
        }
    }
}

/// How far the rotation of a kind is, and what has been decided about it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The kind.
    pub kind: Kind,
    /// Its state, the step that was decided on included.
    pub state: State,
    /// What was decided.
    pub decision: Decision,
    /// When the generation in use is due to be replaced by its age.
    pub due: Timestamp,
}

/// Takes the next step of each ring for which it is time, in the material and in what is written down of it. A platform whose servers are
/// all somebody else's has no credentials of its own.
pub(crate) fn advance(
    material: &mut Material,
    recorded: [Option<State>; Kind::ALL.len()],
    (platform, plans, circumstances): (&str, &Plans, Circumstances),
    heard: Heard<'_>,
    rng: &mut (impl CryptoRng + ?Sized),
    now: Timestamp,
) -> Vec<Progress> {
    let mut all = Vec::with_capacity(Kind::ALL.len());
    for (kind, before) in Kind::ALL.into_iter().zip(recorded) {
        if kind == Kind::Credentials && material.own_servers().is_empty() {
            continue;
        }
        let plan = plans.of(kind);
        let state = State::adopted(before, platform, plan, now);
        let wish = (kind, plan, circumstances);
        let (decision, state) = match kind {
            Kind::SigningKeys => one(&mut material.signing_keys, wish, state, heard, rng, now),
            Kind::MessageKeys => one(&mut material.message_keys, wish, state, heard, rng, now),
            Kind::Credentials => one(&mut material.credentials, wish, state, heard, rng, now),
        };
        all.push(Progress { kind, due: plan.due(kind, &state), state, decision });
    }
    all
}

fn one<R: Ring>(
    keys: &mut R,
    (kind, plan, circumstances): (Kind, &Plan, Circumstances),
    state: State,
    heard: Heard<'_>,
    rng: &mut (impl CryptoRng + ?Sized),
    now: Timestamp,
) -> (Decision, State) {
    let decision = machine::next((kind, plan, circumstances), (keys, &state), &Evidence::of(kind, heard, now), now);
    let Decision::Move(step) = decision else { return (decision, state) };
    match machine::take(step, (keys, &state), plan, rng, now) {
        Some((after, state)) => {
            *keys = after;
            (decision, state)
        }
        // What is decided for a state follows from it, so this is never so.
        None => (Decision::Rest(now), state),
    }
}

impl Progress {
    /// The step that was taken, if one was.
    #[must_use]
    pub fn step_taken(&self) -> Option<Move> {
        match self.decision {
            Decision::Move(step) => Some(step),
            _ => None,
        }
    }

    /// How soon to look at it again; none where what it waits for is told of by itself.
    #[must_use]
    pub fn look_again(&self, now: Timestamp) -> Option<SignedDuration> {
        let age = self.state.step.as_ref().map_or(SignedDuration::ZERO, |step| now.duration_since(step.since));
        let pace = if age < YOUNG { LOOK } else { LOOK_LATER };
        match &self.decision {
            Decision::Move(_) => Some(LOOK),
            Decision::Hold(_) => None,
            Decision::Rest(until) => Some(until.duration_since(now).max(LOOK)),
            Decision::Wait(Waiting { lags, until: Some(until), .. }) if lags.is_empty() => {
                Some(until.duration_since(now).max(SignedDuration::from_secs(1)))
            }
            Decision::Wait(_) => Some(pace),
        }
    }
}
