//! The circuit breaker of a service: who has just failed so often is not asked for a moment, so that clients get their answer
//! at once and the service some air (Nygard, "Release It!").
//!
//! *Closed*: requests pass, and how they end is noted. *Open*: none passes. *Half-open*: one passes, on trial.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The latest outcomes that a rate is made of: as many as a word has bits.
const REMEMBERED: u32 = u64::BITS;
/// How many outcomes make a rate.
const ENOUGH: u32 = 20;
/// How long a request on trial may take before another one may try as well: it may be a long poll.
const TRIAL_PATIENCE: Duration = Duration::from_secs(1);

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Failures in a row.
    pub consecutive: u32,
    /// Failures among the latest requests, in hundredths.
    pub percent: u32,
    /// How long it stays open at first; doubled each time that a trial fails.
    pub pause: Duration,
    /// The longest that gets.
    pub longest: Duration,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Requests pass.
    Closed,
    /// One passes, on trial.
    HalfOpen,
    /// None passes.
    Open,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered, whatever it said.
    Answered,
    /// It did not, or not in time.
    Failed,
}

/// Shared by all requests to one service.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { history: u64, seen: u32, in_a_row: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { trial: Option<Instant>, pause: Duration },
}

const CLOSED: State = State::Closed { history: 0, seen: 0, in_a_row: 0 };

/// Leave for one request. Dropped without a word on how it ended, it says nothing about the service: the client went away.
#[derive(Debug)]
#[must_use = "how the request ended is to be told"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// When a trial began, if it is one.
    trial: Option<Instant>,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: Mutex::new(CLOSED) }
    }

    /// Lets a request pass, or says when it makes sense to ask again.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Duration> {
        let mut state = self.state();
        let trial = match *state {
            State::Closed { .. } => None,
            State::Open { until, .. } if now < until => return Err(until - now),
            State::HalfOpen { trial: Some(began), .. } if now < began + TRIAL_PATIENCE => {
                return Err(began + TRIAL_PATIENCE - now);
            }
            State::Open { pause, .. } | State::HalfOpen { pause, .. } => {
                *state = State::HalfOpen { trial: Some(now), pause };
                Some(now)
            }
        };
        Ok(Permit { breaker: Arc::clone(self), trial })
    }

    /// Something was seen that speaks for the service, such as a new address: the next request may try.
    pub fn give_a_chance(&self) {
        let mut state = self.state();
        if let State::Open { pause, .. } = *state {
            *state = State::HalfOpen { trial: None, pause };
        }
    }

    /// What it does now.
    #[must_use]
    pub fn level(&self) -> Level {
        match *self.state() {
            State::Closed { .. } => Level::Closed,
            State::Open { .. } => Level::Open,
            State::HalfOpen { .. } => Level::HalfOpen,
        }
    }

    fn record(&self, trial: Option<Instant>, outcome: Outcome, now: Instant) {
        let mut state = self.state();
        *state = match (*state, outcome) {
            (State::Closed { history, seen, in_a_row }, _) => self.after(history, seen, in_a_row, outcome, now),
            (State::HalfOpen { .. }, Outcome::Answered) if trial.is_some() => CLOSED,
            (State::HalfOpen { pause, .. }, Outcome::Failed) if trial.is_some() => {
                let pause = (pause * 2).min(self.policy.longest);
                State::Open { until: now + pause, pause }
            }
            // What began before it opened comes too late to count.
            (state, _) => state,
        };
    }

    fn after(&self, history: u64, seen: u32, in_a_row: u32, outcome: Outcome, now: Instant) -> State {
        let failed = outcome == Outcome::Failed;
        let history = history << 1 | u64::from(failed);
        let seen = (seen + 1).min(REMEMBERED);
        let in_a_row = if failed { in_a_row + 1 } else { 0 };
        let is_often = seen >= ENOUGH && history.count_ones() * 100 >= seen * self.policy.percent;
        if failed && (in_a_row >= self.policy.consecutive || is_often) {
            State::Open { until: now + self.policy.pause, pause: self.policy.pause }
        } else {
            State::Closed { history, seen, in_a_row }
        }
    }

    fn forget_trial(&self, began: Instant) {
        let mut state = self.state();
        if let State::HalfOpen { trial: Some(latest), pause } = *state
            && latest == began
        {
            *state = State::HalfOpen { trial: None, pause };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Tells how the request ended.
    pub fn tell(mut self, outcome: Outcome, now: Instant) {
        let trial = self.trial.take();
        self.breaker.record(trial, outcome, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(began) = self.trial {
            self.breaker.forget_trial(began);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::new(Policy { consecutive: 5, percent: 50, pause: PAUSE, longest: PAUSE * 4 }))
    }

    fn tell(breaker: &Arc<Breaker>, outcome: Outcome, now: Instant) {
        breaker.admit(now).unwrap().tell(outcome, now);
    }

    fn open(now: Instant) -> Arc<Breaker> {
        let breaker = breaker();
        (0..5).for_each(|_| tell(&breaker, Outcome::Failed, now));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_the_wait_is_told() {
        let now = Instant::now();
        let breaker = breaker();
        for _ in 0..4 {
            tell(&breaker, Outcome::Failed, now);
        }
        tell(&breaker, Outcome::Answered, now);
        for _ in 0..4 {
            tell(&breaker, Outcome::Failed, now);
        }
        assert_eq!(breaker.level(), Level::Closed);
        tell(&breaker, Outcome::Failed, now);
        assert_eq!(breaker.level(), Level::Open);
        assert_eq!(breaker.admit(now + PAUSE / 4).unwrap_err(), PAUSE * 3 / 4);
    }

    #[test]
    fn every_second_request_failing_opens_it_once_there_were_enough() {
        let now = Instant::now();
        let breaker = breaker();
        for _ in 0..9 {
            tell(&breaker, Outcome::Failed, now);
            tell(&breaker, Outcome::Answered, now);
        }
        tell(&breaker, Outcome::Answered, now);
        assert_eq!(breaker.level(), Level::Closed);
        tell(&breaker, Outcome::Failed, now);
        assert_eq!(breaker.level(), Level::Open);
    }

    #[test]
    fn one_trial_at_a_time_decides() {
        let start = Instant::now();
        let breaker = open(start);
        let later = start + PAUSE;
        let trial = breaker.admit(later).unwrap();
        assert_eq!(breaker.level(), Level::HalfOpen);
        assert!(breaker.admit(later).is_err());
        trial.tell(Outcome::Answered, later);
        assert_eq!(breaker.level(), Level::Closed);
    }

    #[test]
    fn each_trial_that_fails_doubles_the_wait_up_to_a_bound() {
        let mut now = Instant::now();
        let breaker = open(now);
        for wait in [1, 2, 4, 4] {
            assert_eq!(breaker.admit(now).unwrap_err(), PAUSE * wait);
            now += PAUSE * wait;
            tell(&breaker, Outcome::Failed, now);
        }
    }

    #[test]
    fn a_trial_whose_client_goes_away_makes_room_for_another_and_one_that_lasts_does_so_too() {
        let start = Instant::now();
        let breaker = open(start);
        let later = start + PAUSE;
        drop(breaker.admit(later).unwrap());
        let lasting = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err());
        let another = breaker.admit(later + TRIAL_PATIENCE).unwrap();
        drop(lasting);
        assert!(breaker.admit(later + TRIAL_PATIENCE).is_err(), "the trial that is going on was forgotten");
        another.tell(Outcome::Answered, later);
        assert_eq!(breaker.level(), Level::Closed);
    }

    #[test]
    fn a_good_sign_lets_the_next_request_try_at_once() {
        let now = Instant::now();
        let breaker = open(now);
        breaker.give_a_chance();
        tell(&breaker, Outcome::Answered, now);
        assert_eq!(breaker.level(), Level::Closed);
        breaker.give_a_chance();
        assert_eq!(breaker.level(), Level::Closed);
    }

    #[test]
    fn what_began_before_it_opened_does_not_count_after() {
        let now = Instant::now();
        let breaker = breaker();
        let early = breaker.admit(now).unwrap();
        (0..5).for_each(|_| tell(&breaker, Outcome::Failed, now));
        early.tell(Outcome::Answered, now);
        assert_eq!(breaker.level(), Level::Open);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_lets_requests_try_again_in_the_end(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..3000), 1..300)
        ) {
            let breaker = breaker();
            let mut now = Instant::now();
            let mut kept = Vec::new();
            for (fails, keeps, wait) in steps {
                now += Duration::from_millis(wait);
                match breaker.admit(now) {
                    Ok(permit) if keeps => kept.push(permit),
                    Ok(permit) => permit.tell(if fails { Outcome::Failed } else { Outcome::Answered }, now),
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO && wait <= PAUSE * 4);
                        // Who waits as told may pass.
                        now += wait;
                        breaker.admit(now).unwrap().tell(Outcome::Failed, now);
                    }
                }
            }
            now += PAUSE * 4;
            breaker.admit(now).unwrap().tell(Outcome::Answered, now);
            prop_assert_eq!(breaker.level(), Level::Closed);
        }
    }
}
