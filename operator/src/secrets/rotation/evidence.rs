use std::collections::BTreeMap;

use contract::keys::{KeyUse, KeysInUse};
use jiff::{SignedDuration, Timestamp};

use super::Kind;
use super::kind::SKEW;
use super::machine::STUCK_AFTER;
use crate::build::Component;

/// What a pod said of the keys that it goes by, or why it said nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Testimony {
    /// The component.
    pub component: Component,
    /// Name of the pod.
    pub pod: String,
    /// When it was made.
    pub born: Timestamp,
    /// Its words.
    pub said: Result<KeysInUse, String>,
}

/// What keeps a step from being taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lag {
    /// Who, and why.
    pub words: String,
    /// Whether whoever it is has been there for long enough to know better. One that is not there, or was only just made, as when the platform
    /// wakes, is told of as a part that is not ready.
    pub is_overdue: bool,
}

/// What all consumers of a ring say of it.
pub(super) struct Evidence<'a> {
    kind: Kind,
    said: &'a [Testimony],
    now: Timestamp,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(kind: Kind, said: &'a [Testimony], now: Timestamp) -> Self {
        Self { kind, said, now }
    }

    /// Who does not accept a key yet.
    pub(super) fn not_accepting(&self, kid: &str) -> Vec<Lag> {
        self.lags(self.kind.readers(), |keys| {
            let accepts = keys.accepted.iter().any(|accepted| accepted == kid);
            (!accepts).then(|| "does not accept the new generation yet".to_owned())
        })
    }

    /// Who still makes something with another key than this one.
    pub(super) fn not_using(&self, kid: &str) -> Vec<Lag> {
        self.lags(self.kind.writers(), |keys| {
            let uses = keys.current.as_deref() == Some(kid);
            (!uses).then(|| "still uses the old generation".to_owned())
        })
    }

    /// Who accepts another key than those that are left.
    pub(super) fn accepting_others(&self, left: &[&str]) -> Vec<Lag> {
        self.lags(self.kind.readers(), |keys| {
            let others = keys.accepted.iter().any(|accepted| !left.contains(&accepted.as_str()));
            others.then(|| "still accepts the old generation".to_owned())
        })
    }

    /// What is still stored under another key than the current one, by a count that was begun after `since`.
    pub(super) fn stored(&self, since: Timestamp) -> Vec<Lag> {
        self.lags(self.kind.writers(), |keys| {
            let Some(stored) = &keys.stored else {
                return Some("has not counted yet what is stored under the old generation".to_owned());
            };
            let ago = SignedDuration::from_secs(i64::try_from(stored.seconds_ago).unwrap_or(i64::MAX));
            let begun = self.now.saturating_sub(ago).unwrap_or(Timestamp::MIN);
            let left: BTreeMap<_, _> = stored.counts.iter().filter(|(_, count)| **count > 0).collect();
            if !left.is_empty() {
                let counts: Vec<String> = left.iter().map(|(kid, count)| format!("{count} under {kid}")).collect();
                return Some(format!("counts {}", counts.join(", ")));
            }
            // What somebody was about to write with the old generation is in a count that began later than that.
            let is_fresh = begun.duration_since(since) >= SKEW;
            (!is_fresh).then(|| "is to count once more what is stored under the old generation".to_owned())
        })
    }

    /// What is in the way among the pods of these components, of which each must have one.
    fn lags(&self, components: &[Component], fault: impl Fn(&KeyUse) -> Option<String>) -> Vec<Lag> {
        let mut lags = Vec::new();
        for component in components {
            let mut pods = self.said.iter().filter(|testimony| testimony.component == *component).peekable();
            if pods.peek().is_none() {
                let words = format!("no pod of {} is there to be asked", component.name());
                lags.push(Lag { words, is_overdue: false });
            }
            lags.extend(pods.filter_map(|Testimony { pod, said, born, .. }| {
                let why = match said {
                    Ok(keys) => match keys.get(self.kind.ring()) {
                        Some(keys) => fault(keys)?,
                        None => "does not tell which keys it goes by: it is of an older release".to_owned(),
                    },
                    Err(why) => format!("cannot be asked: {why}"),
                };
                let is_overdue = self.now.duration_since(*born) >= STUCK_AFTER;
                Some(Lag { words: format!("pod {pod} {why}"), is_overdue })
            }));
        }
        lags
    }
}
