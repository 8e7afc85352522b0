//! A model of a cluster in which a ring rotates, for tests: consumers who read the ring now or later, make things with the key that is
//! current for them, and answer or do not; servers that are made to agree now or later, and connections to them that are still used after
//! another was made; an operator that dies before or after any write; a clock that jumps.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use contract::keys::{KeyUse, StoredUnder};
use jiff::{SignedDuration, Timestamp};

use super::evidence::Evidence;
use super::machine::{next, take};
use super::{Acceptance, Circumstances, Decision, Heard, Kind, Move, Plan, Ring as _, State, Testimony};
use crate::build::Component;
use crate::secrets::MessageKeys;

pub(super) const EVERY: SignedDuration = SignedDuration::from_hours(24 * 90);
/// What no token outlives.
pub(super) const TOKEN: i64 = 600;

pub(super) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(super) fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A pod that goes by a ring as it was when it last read it.
#[derive(Clone)]
pub(super) struct Pod {
    pub(super) component: Component,
    pub(super) name: String,
    pub(super) ring: MessageKeys,
    pub(super) answers: bool,
    pub(super) born: Timestamp,
    /// When it last counted what is stored, and what it found.
    pub(super) counted: Option<(i64, String, BTreeMap<String, u64>)>,
    /// Where servers decide: by what the connections were made that are still used beside those by the current key.
    pub(super) drains: Vec<String>,
}

/// A server that decides what is accepted.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) component: Component,
    pub(super) accepts: Vec<String>,
    /// Whether the operator that leads now has made it agree since.
    pub(super) is_known: bool,
}

/// A cluster in which a ring rotates.
pub(super) struct Cluster {
    pub(super) kind: Kind,
    pub(super) plan: Plan,
    /// The time as it is, in seconds.
    pub(super) time: i64,
    /// By how much the operator's clock is ahead.
    pub(super) ahead: i64,
    pub(super) ring: MessageKeys,
    pub(super) state: State,
    pub(super) pods: Vec<Pod>,
    pub(super) servers: Vec<Server>,
    /// What was made: with which key, and when it ends.
    pub(super) made: Vec<(String, i64)>,
    pub(super) taken: Vec<Move>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// Time passes, in seconds.
    Pass(u16),
    /// A pod reads the ring.
    Reads(u8),
    /// Somebody has a pod make something.
    Makes(u8),
    /// What is stored under an old key is made anew, and counted; who works by an old connection has finished.
    Counts(u8),
    /// A server is made to agree with the ring.
    Agrees(u8),
    /// A pod stops answering, or answers again.
    Falters(u8),
    /// A pod is replaced by another one.
    Replaced(u8),
    /// The operator looks, and does what it decides.
    Acts,
    /// The operator looks, decides and dies before it writes.
    Dies,
    /// The operator writes once more what it has written last.
    Replays,
    /// The operator's clock jumps, in seconds.
    Jumps(i16),
}

impl Cluster {
    pub(super) fn new(kind: Kind, plan: Plan) -> Self {
        let ring = MessageKeys::generate(&mut rand::rng());
        let pods = kind.readers().iter().flat_map(|component| {
            let ring = ring.clone();
            (0..2).map(move |number| Pod {
                component: *component,
                name: format!("{}-{number}", component.name()),
                ring: ring.clone(),
                answers: true,
                born: start(),
                counted: None,
                drains: vec![],
            })
        });
        let pods = pods.collect();
        let servers = kind.uses().iter().filter_map(|of| of.server).map(|component| Server {
            component,
            accepts: ring.ids().into_iter().map(str::to_owned).collect(),
            is_known: false,
        });
        let servers = servers.collect();
        let state = State::adopted(None, "u-1", &Plan { revision: 0, ..plan }, start());
        Self { kind, plan, time: 0, ahead: 0, ring, state, pods, servers, made: vec![], taken: vec![] }
    }

    fn writes(&self, pod: &Pod) -> bool {
        self.kind.uses().iter().any(|of| of.writers.contains(&pod.component))
    }

    pub(super) fn now(&self) -> Timestamp {
        after(self.time + self.ahead)
    }

    pub(super) fn said(&self) -> Vec<Testimony> {
        let says = |pod: &Pod| {
            let stored = pod.counted.as_ref().filter(|(_, current, _)| current == pod.ring.current());
            let stored = stored.map(|(at, _, counts)| StoredUnder {
                counts: counts.clone(),
                seconds_ago: u64::try_from(self.time - at + 1).unwrap(),
            });
            let of_pod = self.kind.uses().iter().filter(|of| of.readers.contains(&pod.component));
            let uses = of_pod.map(|of| {
                let current = pod.ring.current().to_owned();
                let accepted = match of.server {
                    Some(_) => pod.drains.iter().cloned().chain([current.clone()]).collect(),
                    None => pod.ring.ids().into_iter().map(str::to_owned).collect(),
                };
                let current = of.writers.contains(&pod.component).then_some(current);
                (of.ring.to_owned(), KeyUse { current, accepted, stored: stored.clone() })
            });
            uses.collect()
        };
        let testimony = |pod: &Pod| Testimony {
            component: pod.component,
            pod: pod.name.clone(),
            born: pod.born,
            said: if pod.answers { Ok(says(pod)) } else { Err("no answer within 5 s".into()) },
        };
        self.pods.iter().map(testimony).collect()
    }

    /// What is known of the servers.
    pub(super) fn acceptances(&self) -> Vec<Acceptance> {
        let acceptance = |server: &Server| Acceptance {
            server: server.component,
            generations: server.is_known.then(|| server.accepts.clone()),
        };
        self.servers.iter().map(acceptance).collect()
    }

    pub(super) fn decide(&self) -> Decision {
        self.decide_under(Circumstances::default())
    }

    pub(super) fn decide_under(&self, circumstances: Circumstances) -> Decision {
        let (said, acceptances) = (self.said(), self.acceptances());
        let evidence = Evidence::of(self.kind, Heard { pods: &said, servers: &acceptances }, self.now());
        next((self.kind, &self.plan, circumstances), (&self.ring, &self.state), &evidence, self.now())
    }

    pub(super) fn write(&mut self, step: Move) {
        let taken = take(step, (&self.ring, &self.state), &self.plan, &mut rand::rng(), self.now());
        if let Some((ring, state)) = taken {
            (self.ring, self.state) = (ring, state);
            self.taken.push(step);
        }
    }

    pub(super) fn acts(&mut self) {
        if let Decision::Move(step) = self.decide() {
            self.write(step);
            assert_eq!(self.taken.last(), Some(&step), "what was decided can be done");
        }
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        let count = self.pods.len();
        let of = |number: u8| usize::from(number) % count;
        match happening {
            Happening::Pass(seconds) => self.time += i64::from(seconds),
            Happening::Reads(number) => {
                let ring = self.ring.clone();
                self.pods[of(number)].reads(ring);
            }
            Happening::Makes(number) => {
                let pod = &self.pods[of(number)];
                if self.kind != Kind::Credentials && self.writes(pod) {
                    // What is stored lasts until it is made anew.
                    let life = if self.kind == Kind::SigningKeys { TOKEN } else { i64::MAX / 2 };
                    self.made.push((pod.ring.current().to_owned(), self.time + life));
                }
            }
            Happening::Counts(number) => {
                let time = self.time;
                let pod = &mut self.pods[of(number)];
                let current = pod.ring.current().to_owned();
                let mut counts = BTreeMap::new();
                for (kid, _) in &mut self.made {
                    // As the service does it: what its ring can read is made anew with its current key.
                    if self.kind == Kind::MessageKeys && pod.ring.ids().contains(&kid.as_str()) {
                        kid.clone_from(&current);
                    } else {
                        *counts.entry(kid.clone()).or_default() += 1;
                    }
                }
                pod.counted = Some((time, current, counts));
                pod.drains.clear();
            }
            Happening::Agrees(number) => {
                let accepts = self.ring.ids().into_iter().map(str::to_owned).collect::<Vec<_>>();
                let count = self.servers.len().max(1);
                if let Some(server) = self.servers.get_mut(usize::from(number) % count) {
                    (server.accepts, server.is_known) = (accepts, true);
                }
            }
            Happening::Falters(number) => self.pods[of(number)].answers ^= true,
            Happening::Replaced(number) => {
                let pod = &mut self.pods[of(number)];
                pod.name.push('x');
                (pod.ring, pod.counted, pod.answers) = (self.ring.clone(), None, true);
                pod.drains.clear();
            }
            Happening::Acts => self.acts(),
            Happening::Dies => {
                drop(self.decide());
                self.servers.iter_mut().for_each(|server| server.is_known = false);
            }
            Happening::Replays => {
                if let Some(step) = self.taken.last().copied() {
                    self.replays(step);
                }
            }
            Happening::Jumps(seconds) => self.ahead += i64::from(seconds),
        }
    }

    /// A step that was taken already may be noted anew, and changes nothing.
    pub(super) fn replays(&mut self, step: Move) {
        let (ring, state) = (&self.ring, &self.state);
        if let Some((ring, state)) = take(step, (ring, state), &self.plan, &mut rand::rng(), self.now()) {
            assert_eq!(ring.text(), self.ring.text(), "{step:?} was taken twice");
            assert_eq!((state.word(), state.generation), (self.state.word(), self.state.generation), "{step:?}");
            self.state = state;
        }
    }

    /// What must hold at every moment.
    pub(super) fn check(&self) {
        assert!(self.ring.ids().len() <= 2, "more than two generations");
        assert!(self.ring.ids().contains(&self.ring.current()));
        let everybody = self.pods.iter();
        for pod in everybody.clone() {
            for (server, used) in
                self.servers.iter().flat_map(|server| pod.connections().map(move |used| (server, used)))
            {
                assert!(
                    server.accepts.iter().any(|accepted| accepted == used),
                    "{} does not accept {used}, by which {} is connected, at {:?}",
                    server.component.name(),
                    pod.name,
                    self.state.step
                );
            }
            if self.writes(pod) {
                for reader in everybody.clone().filter(|_| self.servers.is_empty()) {
                    assert!(
                        reader.ring.ids().contains(&pod.ring.current()),
                        "{} does not accept what {} makes, at {:?}",
                        reader.name,
                        pod.name,
                        self.state.step
                    );
                }
                assert!(
                    self.ring.ids().contains(&pod.ring.current()),
                    "the key that {} uses is gone at {:?}",
                    pod.name,
                    self.state.step
                );
            }
        }
    }

    /// What was made and is still good can be read.
    pub(super) fn check_made(&self) {
        for (kid, ends) in self.made.iter().filter(|(_, ends)| *ends > self.time) {
            assert!(self.ring.ids().contains(&kid.as_str()), "what {kid} made is good until {ends}, and it is gone");
        }
    }

    /// Everybody is well from now on: nothing is in the way of the end.
    pub(super) fn settle(&mut self) {
        self.ahead = 0;
        for _ in 0..40 {
            for pod in &mut self.pods {
                pod.answers = true;
                pod.reads(self.ring.clone());
            }
            for number in 0..self.servers.len() {
                self.happens(Happening::Agrees(u8::try_from(number).unwrap()));
            }
            self.time += 60;
            for number in 0..self.pods.len() {
                self.happens(Happening::Counts(u8::try_from(number).unwrap()));
            }
            self.time += 60;
            self.acts();
            self.check();
            self.check_made();
        }
        assert_eq!(self.state.step, None, "it does not end: {:?}", self.decide());
        assert_eq!(self.ring.ids(), [self.ring.current()]);
        assert!(self.pods.iter().all(|pod| pod.ring.ids() == self.ring.ids()));
        assert!(self.servers.iter().all(|server| server.accepts == self.ring.ids()));
        assert!(self.state.revision == self.plan.revision);
    }
}

impl Pod {
    pub(super) fn reads(&mut self, ring: MessageKeys) {
        if ring.current() != self.ring.current() {
            self.drains.push(self.ring.current().to_owned());
        }
        self.ring = ring;
    }

    /// By what it is connected to servers.
    fn connections(&self) -> impl Iterator<Item = &str> {
        self.drains.iter().map(String::as_str).chain([self.ring.current()])
    }
}

pub(super) fn plan(revision: i32) -> Plan {
    Plan { every: EVERY, revision, revoke: false }
}
