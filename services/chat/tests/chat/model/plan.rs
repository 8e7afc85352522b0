//! The steps of a run.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::reference::Reference;

/// Most actions that are under way at once.
const MOST_AT_ONCE: usize = 8;
const REACTIONS: [&str; 3] = ["👍", "🎉", "x"];

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Some actions at once, each of another message; perhaps a replica is killed while they are under way.
    Act { actions: Vec<Action>, killed: Option<usize> },
    /// The same, while Redis is away: no replica hears of what the other does.
    ActApart { actions: Vec<Action> },
    /// A reader connects, and resumes.
    Connect { reader: usize, replica: usize },
    /// A reader goes away.
    Disconnect { reader: usize },
    /// A replica is killed.
    Kill { replica: usize },
    /// A replica is told to stop.
    Stop { replica: usize },
    /// A replica is started, if it does not run.
    Start { replica: usize },
}

/// What a user does. The text, or the message's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Send { user: usize, text: String },
    Edit { user: usize, message: String, text: String },
    Delete { user: usize, message: String },
    React { user: usize, message: String, emoji: &'static str },
    Unreact { user: usize, message: String, emoji: &'static str },
}

/// Draws the next step.
pub(super) fn next(rng: &mut StdRng, reference: &Reference, users: usize) -> Step {
    let (user, replica) = (rng.random_range(0..users), rng.random_range(0..2));
    match rng.random_range(0..100) {
        0..57 => {
            let killed = rng.random_bool(0.08).then_some(replica);
            Step::Act { actions: actions(rng, reference, users), killed }
        }
        57..60 => Step::ActApart { actions: actions(rng, reference, users) },
        60..78 => Step::Connect { reader: user, replica },
        78..88 => Step::Disconnect { reader: user },
        88..91 => Step::Kill { replica },
        91..94 => Step::Stop { replica },
        _ => Step::Start { replica },
    }
}

fn actions(rng: &mut StdRng, reference: &Reference, users: usize) -> Vec<Action> {
    let mut free = reference.alive();
    let count = rng.random_range(1..=MOST_AT_ONCE);
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        let user = rng.random_range(0..users);
        let text = format!("text {}", rng.random::<u32>());
        // Half of what is said changes something that was said before.
        let message = match free.len() {
            0 => None,
            left => rng.random_bool(0.5).then(|| free.swap_remove(rng.random_range(0..left))),
        };
        let emoji = REACTIONS[rng.random_range(0..REACTIONS.len())];
        actions.push(match message {
            None => Action::Send { user, text },
            Some((message, sender)) => match rng.random_range(0..10) {
                0..4 => Action::Edit { user: sender, message, text },
                4 => Action::Delete { user: sender, message },
                5..8 => Action::React { user, message, emoji },
                _ => Action::Unreact { user, message, emoji },
            },
        });
    }
    actions
}
