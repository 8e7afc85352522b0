//! What holds of every rotation, however slow its consumers, and whatever becomes of the operator.
//!
//! The machine runs against a model of a cluster: consumers who read the ring now or later, make things with the key that is current for
//! them, and answer or do not; an operator that dies before or after any write; a clock that jumps.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use contract::keys::{KeyUse, StoredUnder};
use proptest::prelude::*;

use super::evidence::Evidence;
use super::kind::SKEW;
use super::machine::{next, take};
use super::*;
use crate::secrets::MessageKeys;

const EVERY: SignedDuration = SignedDuration::from_hours(24 * 90);
/// What no token outlives.
const TOKEN: i64 = 600;

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A pod that goes by a ring as it was when it last read it.
#[derive(Clone)]
struct Pod {
    component: crate::build::Component,
    name: String,
    ring: MessageKeys,
    answers: bool,
    born: Timestamp,
    /// When it last counted what is stored, and what it found.
    counted: Option<(i64, String, BTreeMap<String, u64>)>,
}

/// A cluster in which a ring rotates.
struct Cluster {
    kind: Kind,
    plan: Plan,
    /// The time as it is, in seconds.
    time: i64,
    /// By how much the operator's clock is ahead.
    ahead: i64,
    ring: MessageKeys,
    state: State,
    pods: Vec<Pod>,
    /// What was made: with which key, and when it ends.
    made: Vec<(String, i64)>,
    taken: Vec<Move>,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Time passes, in seconds.
    Pass(u16),
    /// A pod reads the ring.
    Reads(u8),
    /// Somebody has a pod make something.
    Makes(u8),
    /// What is stored under an old key is made anew, and counted.
    Counts(u8),
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
    fn new(kind: Kind, plan: Plan) -> Self {
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
            })
        });
        let pods = pods.collect();
        let state = State::adopted(None, "u-1", &Plan { revision: 0, ..plan }, start());
        Self { kind, plan, time: 0, ahead: 0, ring, state, pods, made: vec![], taken: vec![] }
    }

    fn now(&self) -> Timestamp {
        after(self.time + self.ahead)
    }

    fn said(&self) -> Vec<Testimony> {
        let says = |pod: &Pod| {
            let stored = pod.counted.as_ref().filter(|(_, current, _)| current == pod.ring.current());
            let stored = stored.map(|(at, _, counts)| StoredUnder {
                counts: counts.clone(),
                seconds_ago: u64::try_from(self.time - at + 1).unwrap(),
            });
            let writes = self.kind.writers().contains(&pod.component);
            let keys = KeyUse {
                current: writes.then(|| pod.ring.current().to_owned()),
                accepted: pod.ring.ids().into_iter().map(str::to_owned).collect(),
                stored,
            };
            [(self.kind.ring().to_owned(), keys)].into()
        };
        let testimony = |pod: &Pod| Testimony {
            component: pod.component,
            pod: pod.name.clone(),
            born: pod.born,
            said: if pod.answers { Ok(says(pod)) } else { Err("no answer within 5 s".into()) },
        };
        self.pods.iter().map(testimony).collect()
    }

    fn decide(&self) -> Decision {
        let said = self.said();
        let wish = (self.kind, &self.plan, Circumstances::default());
        next(wish, (&self.ring, &self.state), &Evidence::of(self.kind, &said, self.now()), self.now())
    }

    fn write(&mut self, step: Move) {
        let taken = take(step, (&self.ring, &self.state), &self.plan, &mut rand::rng(), self.now());
        if let Some((ring, state)) = taken {
            (self.ring, self.state) = (ring, state);
            self.taken.push(step);
        }
    }

    fn acts(&mut self) {
        if let Decision::Move(step) = self.decide() {
            self.write(step);
            assert_eq!(self.taken.last(), Some(&step), "what was decided can be done");
        }
    }

    fn happens(&mut self, happening: Happening) {
        let count = self.pods.len();
        let of = |number: u8| usize::from(number) % count;
        match happening {
            Happening::Pass(seconds) => self.time += i64::from(seconds),
            Happening::Reads(number) => self.pods[of(number)].ring = self.ring.clone(),
            Happening::Makes(number) => {
                let pod = &self.pods[of(number)];
                if self.kind.writers().contains(&pod.component) {
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
            }
            Happening::Falters(number) => self.pods[of(number)].answers ^= true,
            Happening::Replaced(number) => {
                let pod = &mut self.pods[of(number)];
                pod.name.push('x');
                (pod.ring, pod.counted, pod.answers) = (self.ring.clone(), None, true);
            }
            Happening::Acts => self.acts(),
            Happening::Dies => drop(self.decide()),
            Happening::Replays => {
                if let Some(step) = self.taken.last().copied() {
                    self.replays(step);
                }
            }
            Happening::Jumps(seconds) => self.ahead += i64::from(seconds),
        }
    }

    /// A step that was taken already may be noted anew, and changes nothing.
    fn replays(&mut self, step: Move) {
        let (ring, state) = (&self.ring, &self.state);
        if let Some((ring, state)) = take(step, (ring, state), &self.plan, &mut rand::rng(), self.now()) {
            assert_eq!(ring.text(), self.ring.text(), "{step:?} was taken twice");
            assert_eq!((state.word(), state.generation), (self.state.word(), self.state.generation), "{step:?}");
            self.state = state;
        }
    }

    /// What must hold at every moment.
    fn check(&self) {
        assert!(self.ring.ids().len() <= 2, "more than two generations");
        assert!(self.ring.ids().contains(&self.ring.current()));
        let everybody = self.pods.iter();
        for pod in everybody.clone() {
            let writes = self.kind.writers().contains(&pod.component);
            if writes {
                for reader in everybody.clone() {
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
    fn check_made(&self) {
        for (kid, ends) in self.made.iter().filter(|(_, ends)| *ends > self.time) {
            assert!(self.ring.ids().contains(&kid.as_str()), "what {kid} made is good until {ends}, and it is gone");
        }
    }

    /// Everybody is well from now on: nothing is in the way of the end.
    fn settle(&mut self) {
        self.ahead = 0;
        for _ in 0..40 {
            for pod in &mut self.pods {
                (pod.answers, pod.ring) = (true, self.ring.clone());
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
        assert!(self.state.revision == self.plan.revision);
    }
}

fn happenings(jumps: bool) -> impl Strategy<Value = Vec<Happening>> {
    let clock =
        if jumps { (-7200..=7200_i16).prop_map(Happening::Jumps).boxed() } else { Just(Happening::Acts).boxed() };
    let one = prop_oneof![
        3 => (1..=400_u16).prop_map(Happening::Pass),
        6 => any::<u8>().prop_map(Happening::Reads),
        3 => any::<u8>().prop_map(Happening::Makes),
        4 => any::<u8>().prop_map(Happening::Counts),
        1 => any::<u8>().prop_map(Happening::Falters),
        1 => any::<u8>().prop_map(Happening::Replaced),
        8 => Just(Happening::Acts),
        2 => Just(Happening::Dies),
        2 => Just(Happening::Replays),
        1 => clock,
    ];
    proptest::collection::vec(one, 0..160)
}

fn plan(revision: i32) -> Plan {
    Plan { every: EVERY, revision, revoke: false }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_nobody_is_refused_and_in_the_end_the_new_generation_is_alone(
        kind in kinds(),
        happenings in happenings(false),
    ) {
        let mut cluster = Cluster::new(kind, plan(1));
        for happening in happenings {
            cluster.happens(happening);
            cluster.check();
            cluster.check_made();
        }
        cluster.settle();
        let generations = cluster.taken.iter().filter(|step| **step == Move::Switch).count();
        prop_assert_eq!((cluster.state.generation, generations), (2, 1));
    }

    #[test]
    fn a_clock_that_jumps_takes_no_key_from_who_uses_it_and_the_rotation_ends_all_the_same(
        kind in kinds(),
        happenings in happenings(true),
    ) {
        let mut cluster = Cluster::new(kind, plan(1));
        for happening in happenings {
            cluster.happens(happening);
            cluster.check();
        }
        // A clock that jumps ahead ends the wait for the last token early; its holder refreshes it then.
        if kind == Kind::SigningKeys {
            cluster.made.clear();
        }
        cluster.settle();
    }

    #[test]
    fn a_crash_before_or_after_any_write_changes_nothing_about_the_steps(deaths in proptest::collection::vec(any::<bool>(), 0..60)) {
        let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
        let mut deaths = deaths.into_iter();
        for _ in 0..120 {
            if deaths.next().unwrap_or_default() {
                cluster.happens(Happening::Dies);
            } else {
                cluster.acts();
            }
            // The next leader knows nothing but what is written down.
            cluster.state = serde_json::from_str(&cluster.state.text()).unwrap();
            cluster.ring = MessageKeys::parse("s", "k", cluster.ring.text()).unwrap();
            for pod in &mut cluster.pods {
                pod.ring = cluster.ring.clone();
            }
            cluster.time += 60;
            cluster.check();
        }
        let steps = [Move::Add, Move::Accepted, Move::Switch, Move::Proven, Move::Retire, Move::Done];
        prop_assert_eq!(&cluster.taken, &steps);
    }

    #[test]
    fn a_generation_is_replaced_in_the_last_tenth_of_its_time_and_never_later(uid in "[a-z0-9-]{1,36}", hours in 1..=87_600_i64) {
        let every = SignedDuration::from_hours(hours);
        let state = State::adopted(None, &uid, &plan(0), start());
        for kind in Kind::ALL {
            let due = Plan { every, ..plan(0) }.due(kind, &state).duration_since(start());
            prop_assert!(due <= every && due.as_secs() >= every.as_secs() / 10 * 9, "{due}");
        }
    }
}

#[test]
fn nothing_happens_until_a_generation_is_due_or_somebody_asks() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(0));
    let due = cluster.plan.due(cluster.kind, &cluster.state);
    assert_eq!(cluster.decide(), Decision::Rest(due));
    cluster.time = due.duration_since(start()).as_secs() - 1;
    assert_eq!(cluster.decide(), Decision::Rest(due));
    cluster.time += 1;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
    cluster.time = 0;
    cluster.plan.revision = 1;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
}

#[test]
fn a_revision_that_comes_during_a_rotation_is_another_one_after_it() {
    let mut cluster = Cluster::new(Kind::MessageKeys, plan(1));
    cluster.acts();
    cluster.plan.revision = 2;
    cluster.settle();
    assert_eq!((cluster.state.generation, cluster.state.revision), (3, 2));
}

#[test]
fn a_pod_that_does_not_follow_stops_the_rotation_and_is_named_after_ten_minutes() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    cluster.acts();
    let slow = cluster.pods.iter().position(|pod| pod.name == "media-1").unwrap();
    for (number, pod) in cluster.pods.iter_mut().enumerate() {
        if number != slow {
            pod.ring = cluster.ring.clone();
        }
    }
    let told = |cluster: &Cluster| {
        let decision = cluster.decide();
        let state = cluster.state.clone();
        let progress = Progress { kind: cluster.kind, due: start(), state, decision };
        (progress.message().unwrap(), progress.trouble())
    };
    assert_eq!(told(&cluster), ("pod media-1 does not accept the new generation yet".into(), None));
    cluster.time = 599;
    assert_eq!(told(&cluster).1, None);
    cluster.time = 600;
    let trouble = told(&cluster).1.unwrap();
    assert!(trouble.contains("signingKeys is stuck at Spread") && trouble.contains("pod media-1"), "{trouble}");
    cluster.pods[slow].answers = false;
    assert_eq!(told(&cluster).0, "pod media-1 cannot be asked: no answer within 5 s");
    // As after a hibernation: it has only just been made.
    cluster.pods[slow].born = after(500);
    assert_eq!(told(&cluster).1, None);
    cluster.pods.retain(|pod| pod.component != crate::build::Component::Media);
    assert_eq!(told(&cluster).0, "no pod of media is there to be asked");
}

#[test]
fn an_old_signing_key_waits_for_the_last_token_and_the_time_is_told() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    while cluster.state.word() != "Retire" {
        cluster.acts();
        let ring = cluster.ring.clone();
        cluster.pods.iter_mut().for_each(|pod| pod.ring = ring.clone());
        cluster.time += 40;
    }
    let since = cluster.state.step.as_ref().unwrap().since;
    let Decision::Wait(Waiting { lags, until: Some(until), is_stuck }) = cluster.decide() else { panic!() };
    assert_eq!((lags, is_stuck), (vec![], false));
    assert_eq!(until.duration_since(since), SignedDuration::from_secs(TOKEN) + SKEW);
}

#[test]
fn message_keys_are_retired_by_a_count_that_began_after_everybody_used_the_new_one() {
    let mut cluster = Cluster::new(Kind::MessageKeys, plan(1));
    cluster.made.push(("mk-1".into(), i64::MAX / 2));
    let read = |cluster: &mut Cluster| {
        let ring = cluster.ring.clone();
        cluster.pods.iter_mut().for_each(|pod| pod.ring = ring.clone());
    };
    while cluster.state.word() != "Retire" {
        cluster.acts();
        read(&mut cluster);
    }
    let said = |cluster: &Cluster| match cluster.decide() {
        Decision::Wait(Waiting { lags, .. }) => lags.into_iter().map(|lag| lag.words).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    };
    assert!(said(&cluster).contains("pod chat-0 has not counted yet"), "{}", said(&cluster));
    for number in [0, 1] {
        cluster.happens(Happening::Counts(number));
    }
    // All of it is wrapped by the new one, and yet somebody may have been in the middle of wrapping one more by the old.
    assert!(said(&cluster).contains("pod chat-0 is to count once more"), "{}", said(&cluster));
    cluster.time += 30;
    let counted = (cluster.time, "mk-2".to_owned(), [("mk-1".to_owned(), 3)].into());
    cluster.pods[0].counted = Some(counted);
    cluster.happens(Happening::Counts(1));
    assert_eq!(said(&cluster), "pod chat-0 counts 3 under mk-1");
    cluster.happens(Happening::Counts(0));
    assert_eq!(cluster.decide(), Decision::Move(Move::Retire));
}

#[test]
fn a_revocation_leaves_the_new_generation_alone_at_once_and_is_done_when_nobody_accepts_another() {
    let mut cluster = Cluster::new(Kind::SigningKeys, Plan { revoke: true, ..plan(1) });
    cluster.acts();
    assert_eq!((cluster.taken.as_slice(), cluster.ring.ids()), (&[Move::Revoke][..], vec!["mk-2"]));
    assert_eq!((cluster.state.generation, cluster.state.revision, cluster.state.word()), (2, 1, "Refuse"));
    let Decision::Wait(Waiting { lags, .. }) = cluster.decide() else { panic!() };
    assert!(lags.iter().any(|lag| lag.words == "pod gateway-0 still accepts the old generation"), "{lags:?}");
    cluster.settle();
    // It is done once for each revision.
    assert_eq!(cluster.taken, [Move::Revoke, Move::Done]);
}

#[test]
fn what_sleeps_waits_and_a_rotation_is_not_begun_in_the_middle_of_an_upgrade() {
    let cluster = Cluster::new(Kind::MessageKeys, plan(1));
    let decide = |circumstances| {
        let said = cluster.said();
        let evidence = Evidence::of(cluster.kind, &said, cluster.now());
        next((cluster.kind, &cluster.plan, circumstances), (&cluster.ring, &cluster.state), &evidence, cluster.now())
    };
    let (asleep, upgrading) = (
        Circumstances { is_asleep: true, ..Circumstances::default() },
        Circumstances { is_upgrading: true, ..Circumstances::default() },
    );
    assert!(matches!(decide(asleep), Decision::Hold(why) if why.contains("spec.hibernated")));
    assert!(matches!(decide(upgrading), Decision::Hold(why) if why.contains("upgrade")));
    assert_eq!(decide(Circumstances::default()), Decision::Move(Move::Add));
}

#[test]
fn keys_that_another_platform_has_left_are_taken_up_as_they_are() {
    let before = State { revision: 5, generation: 4, ..State::adopted(None, "u-1", &plan(0), start()) };
    let state = State::adopted(Some(before.clone()), "u-2", &plan(2), start());
    assert_eq!((state.revision, state.generation, state.platform.as_str()), (2, 4, "u-2"));
    assert_eq!(State::adopted(Some(before.clone()), "u-1", &plan(2), start()), before);
}

#[test]
fn a_ring_that_somebody_has_put_back_in_the_middle_begins_again() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    let old = cluster.ring.clone();
    cluster.acts();
    cluster.ring = old;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
    cluster.settle();
}
