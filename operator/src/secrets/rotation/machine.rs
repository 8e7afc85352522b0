use jiff::{SignedDuration, Timestamp};
use rand::CryptoRng;

use super::evidence::{Evidence, Lag};
use super::kind::{Retirement, SKEW};
use super::state::seconds;
use super::{Kind, Plan, Ring, State, Step, StepName};

/// How long whoever reads files may take to have the new ones, before somebody should look.
pub(super) const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The same of what is made anew in the background, of which there may be much.
pub(super) const STUCK_STORED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What is to be done about a ring at a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Nothing before then.
    Rest(Timestamp),
    /// Nothing as long as this is so.
    Hold(&'static str),
    /// Nothing before somebody has caught up, or time has passed.
    Wait(Waiting),
    /// A step.
    Move(Move),
}

/// What a step waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// Who is in the way.
    pub lags: Vec<Lag>,
    /// Before when it is not taken.
    pub until: Option<Timestamp>,
    /// Whether it has been waited for longer than it should take.
    pub is_stuck: bool,
}

/// A step from one state to the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Move {
    /// A new generation is added.
    Add,
    /// Everybody accepts it.
    Accepted,
    /// It comes to be used.
    Switch,
    /// Everybody uses it.
    Proven,
    /// The old one goes.
    Retire,
    /// Nobody accepts the old one any more.
    Done,
    /// A new generation takes the place of all others at once.
    Revoke,
}

/// What keeps a rotation from being begun.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Circumstances {
    /// Nothing runs, so nobody can be asked.
    pub is_asleep: bool,
    /// Another release is on its way.
    pub is_upgrading: bool,
}

/// What is to be done about a ring. It is a function of what is written down and of what consumers say, and of the time alone where
/// nothing else can tell: so whoever decides again after a crash decides the same.
pub(super) fn next(
    (kind, plan, circumstances): (Kind, &Plan, Circumstances),
    (ring, state): (&impl Ring, &State),
    evidence: &Evidence<'_>,
    now: Timestamp,
) -> Decision {
    if plan.revoke && plan.asks(state) {
        return Decision::Move(Move::Revoke);
    }
    let due = plan.due(kind, state);
    let is_due = plan.asks(state) || now >= due;
    if circumstances.is_asleep && (state.step.is_some() || is_due) {
        return Decision::Hold("waits until spec.hibernated is false, as nobody can be asked while nothing runs");
    }
    let Some(step) = &state.step else {
        return if !is_due {
            Decision::Rest(due)
        } else if circumstances.is_upgrading {
            Decision::Hold("waits until the upgrade is done")
        } else {
            Decision::Move(Move::Add)
        };
    };
    if is_lost(step, ring) {
        return Decision::Move(Move::Add);
    }
    let at = At { step, now };
    match step.name {
        StepName::Spread => at.once(evidence.not_accepting(&step.key), Move::Accepted),
        StepName::Switch => at.after(kind.published_for(), evidence.not_accepting(&step.key), Move::Switch),
        StepName::Prove => at.once(evidence.not_using(&step.key), Move::Proven),
        StepName::Retire => match kind.retirement() {
            Retirement::After(life) => at.after(life, evidence.not_using(&step.key), Move::Retire),
            Retirement::OnceNothingIsStored => {
                let lags = evidence.not_using(&step.key);
                if !lags.is_empty() {
                    at.once(lags, Move::Retire)
                } else if at.is_before_its_time() {
                    Decision::Move(Move::Proven)
                } else {
                    at.unless(evidence.stored(step.since), STUCK_STORED_AFTER, Move::Retire)
                }
            }
        },
        StepName::Refuse => {
            let mut lags = evidence.not_accepting(&step.key);
            lags.extend(evidence.not_using(&step.key));
            lags.extend(evidence.accepting_others(&ring.ids()));
            at.once(lags, Move::Done)
        }
    }
}

/// Whether the generation that comes is not where the step has put it: somebody has changed the ring by hand, or brought back an older one.
fn is_lost(step: &Step, ring: &impl Ring) -> bool {
    match step.name {
        StepName::Spread | StepName::Switch => !ring.ids().contains(&step.key.as_str()),
        StepName::Prove | StepName::Retire | StepName::Refuse => ring.current() != step.key,
    }
}

/// A step at a moment.
struct At<'a> {
    step: &'a Step,
    now: Timestamp,
}

impl At<'_> {
    fn once(&self, lags: Vec<Lag>, then: Move) -> Decision {
        self.unless(lags, STUCK_AFTER, then)
    }

    /// Whether the clock that wrote the step was ahead of this one by far.
    fn is_before_its_time(&self) -> bool {
        self.step.since.duration_since(self.now) > SKEW
    }

    fn unless(&self, lags: Vec<Lag>, patience: SignedDuration, then: Move) -> Decision {
        if lags.is_empty() {
            return Decision::Move(then);
        }
        let is_old = self.now.duration_since(self.step.since) >= patience;
        let is_stuck = is_old && lags.iter().any(|lag| lag.is_overdue);
        Decision::Wait(Waiting { lags, until: None, is_stuck })
    }

    /// Once enough time has passed, and nobody has fallen behind again.
    fn after(&self, time: SignedDuration, lags: Vec<Lag>, then: Move) -> Decision {
        let until = self.step.since.saturating_add(time).unwrap_or(Timestamp::MAX);
        if self.now >= until {
            return self.unless(lags, time.saturating_add(STUCK_AFTER), then);
        }
        if self.is_before_its_time() && lags.is_empty() {
            // It holds now: that is written down, rather than waited for as long as the clock was ahead.
            return Decision::Move(if then == Move::Switch { Move::Accepted } else { Move::Proven });
        }
        Decision::Wait(Waiting { lags, until: Some(until), is_stuck: false })
    }
}

/// The ring and the state after a step; none where the step does not follow from them, as when it was decided on before another one.
pub(super) fn take<R: Ring>(
    step: Move,
    (keys, state): (&R, &State),
    plan: &Plan,
    rng: &mut (impl CryptoRng + ?Sized),
    now: Timestamp,
) -> Option<(R, State)> {
    let now = seconds(now);
    let begun = state.step.as_ref();
    let key = begun.map(|step| step.key.clone()).unwrap_or_default();
    let is_at = |names: &[StepName]| begun.is_some_and(|step| names.contains(&step.name));
    let at = |name, key| State { step: Some(Step { name, key, since: now }), ..state.clone() };
    let asked = |state: State| State { revision: plan.revision, ..state };
    let in_use = |state: State| State { generation: state.generation + 1, rotated_at: now, ..state };
    match step {
        Move::Add if begun.is_none_or(|step| is_lost(step, keys)) => {
            let (more, key) = keys.with_one_more(rng);
            Some((more, asked(at(StepName::Spread, key))))
        }
        Move::Accepted if is_at(&[StepName::Spread, StepName::Switch]) => {
            Some((keys.clone(), at(StepName::Switch, key)))
        }
        Move::Switch if is_at(&[StepName::Switch]) => Some((keys.switched(&key)?, in_use(at(StepName::Prove, key)))),
        Move::Proven if is_at(&[StepName::Prove, StepName::Retire]) => Some((keys.clone(), at(StepName::Retire, key))),
        Move::Retire if is_at(&[StepName::Retire]) => Some((keys.without_others(), at(StepName::Refuse, key))),
        Move::Done if is_at(&[StepName::Refuse]) => Some((keys.settled(), State { step: None, ..state.clone() })),
        Move::Revoke if plan.asks(state) => {
            let (more, key) = keys.with_one_more(rng);
            Some((more.switched(&key)?.without_others(), asked(in_use(at(StepName::Refuse, key)))))
        }
        _ => None,
    }
}
