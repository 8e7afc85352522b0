use std::collections::BTreeMap;

use contract::keys::{KeyUse, KeysInUse};
use jiff::{SignedDuration, Timestamp};

use super::Kind;
use super::kind::{SKEW, Use};
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

/// What a server of the platform's own accepts, as far as it has been made to agree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acceptance {
    /// The server.
    pub server: Component,
    /// Ids of the generations that it accepts, when it has refused all others that there were; none while that is not known.
    pub generations: Option<Vec<String>>,
}

/// What is told of what a ring is used for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard<'a> {
    /// By pods.
    pub pods: &'a [Testimony],
    /// By those servers that are the platform's own.
    pub servers: &'a [Acceptance],
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

/// What all consumers of a kind's rings say of them, and what servers do.
pub(super) struct Evidence<'a> {
    kind: Kind,
    heard: Heard<'a>,
    now: Timestamp,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(kind: Kind, heard: Heard<'a>, now: Timestamp) -> Self {
        Self { kind, heard, now }
    }

    /// Who does not accept a key yet.
    pub(super) fn not_accepting(&self, kid: &str) -> Vec<Lag> {
        let mut lags = self.servers(|accepted| {
            let accepts = accepted.iter().any(|accepted| accepted == kid);
            (!accepts).then(|| "does not accept the new generation yet".to_owned())
        });
        lags.extend(self.lags(
            |of| of.readers,
            |of, keys| {
                // Where a server decides, it is enough that they can be asked.
                let accepts = of.server.is_some() || keys.accepted.iter().any(|accepted| accepted == kid);
                (!accepts).then(|| "does not accept the new generation yet".to_owned())
            },
        ));
        lags
    }

    /// Who still makes something with another key than this one.
    pub(super) fn not_using(&self, kid: &str) -> Vec<Lag> {
        self.lags(
            |of| of.writers,
            |of, keys| {
                if keys.current.as_deref() != Some(kid) {
                    return Some(match of.server {
                        Some(server) => format!("still logs in to {} by the old generation", server.name()),
                        None => "still uses the old generation".to_owned(),
                    });
                }
                let server = of.server.filter(|_| keys.accepted.iter().any(|other| other != kid))?;
                Some(format!("still has a connection to {} by the old generation", server.name()))
            },
        )
    }

    /// Who accepts another key than those that are left.
    pub(super) fn accepting_others(&self, left: &[&str]) -> Vec<Lag> {
        let still = |accepted: &[String]| {
            let others = accepted.iter().any(|accepted| !left.contains(&accepted.as_str()));
            others.then(|| "still accepts the old generation".to_owned())
        };
        let mut lags = self.servers(still);
        lags.extend(self.lags(|of| of.readers, |of, keys| still(&keys.accepted).filter(|_| of.server.is_none())));
        lags
    }

    /// What is still stored under another key than the current one, by a count that was begun after `since`.
    pub(super) fn stored(&self, since: Timestamp) -> Vec<Lag> {
        self.lags(
            |of| of.writers,
            |_, keys| {
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
            },
        )
    }

    /// Uses that count: a server that somebody else runs is none of ours.
    fn uses(&self) -> impl Iterator<Item = &'static Use> {
        let is_ours = |server| self.heard.servers.iter().any(|acceptance| acceptance.server == server);
        self.kind.uses().iter().filter(move |of| of.server.is_none_or(is_ours))
    }

    /// What is in the way among the servers.
    fn servers(&self, fault: impl Fn(&[String]) -> Option<String>) -> Vec<Lag> {
        let of_ours = self.uses().filter_map(|of| of.server);
        let lag = |server: Component| {
            let acceptance = self.heard.servers.iter().find(|acceptance| acceptance.server == server)?;
            match &acceptance.generations {
                Some(accepted) => fault(accepted).map(|why| (why, true)),
                // It is told of as a part that is not ready, or does not agree.
                None => Some(("has not been made to agree yet".to_owned(), false)),
            }
            .map(|(why, is_overdue)| Lag { words: format!("{} {why}", server.name()), is_overdue })
        };
        of_ours.filter_map(lag).collect()
    }

    /// What is in the way among the pods of components, of which each must have one.
    fn lags(
        &self,
        components: impl Fn(&'static Use) -> &'static [Component],
        fault: impl Fn(&'static Use, &KeyUse) -> Option<String>,
    ) -> Vec<Lag> {
        let mut lags: Vec<Lag> = Vec::new();
        for of in self.uses() {
            for component in components(of) {
                let mut pods = self.heard.pods.iter().filter(|testimony| testimony.component == *component).peekable();
                let nobody = pods.peek().is_none().then(|| Lag {
                    words: format!("no pod of {} is there to be asked", component.name()),
                    is_overdue: false,
                });
                let found = pods.filter_map(|Testimony { pod, said, born, .. }| {
                    let why = match said {
                        Ok(keys) => match keys.get(of.ring) {
                            Some(keys) => fault(of, keys)?,
                            None => "does not tell which keys it goes by: it is of an older release".to_owned(),
                        },
                        Err(why) => format!("cannot be asked: {why}"),
                    };
                    let is_overdue = self.now.duration_since(*born) >= STUCK_AFTER;
                    Some(Lag { words: format!("pod {pod} {why}"), is_overdue })
                });
                for lag in nobody.into_iter().chain(found) {
                    // Who has several rings is told of once.
                    if !lags.contains(&lag) {
                        lags.push(lag);
                    }
                }
            }
        }
        lags
    }
}
