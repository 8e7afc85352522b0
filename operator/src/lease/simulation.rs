//! Candidates against a server that keeps a lease as Kubernetes does, over a network that delays and loses what it likes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const DURATION: Duration = Duration::from_secs(15);
const RENEW_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// A server's answer to a write: the lease as it is now, or a conflict.
struct Server {
    lease: Option<Lease>,
    version: u64,
}

impl Server {
    fn write(&mut self, next: Next) -> Option<Lease> {
        let lease = match next {
            Next::Create(lease) if self.lease.is_none() => lease,
            Next::Replace(lease) if version(Some(&lease)) == version(self.lease.as_ref()) => lease,
            _ => return None,
        };
        self.version += 1;
        let metadata = ObjectMeta { resource_version: Some(self.version.to_string()), ..lease.metadata };
        self.lease = Some(Lease { metadata, ..lease });
        self.lease.clone()
    }
}

fn version(lease: Option<&Lease>) -> Option<String> {
    lease?.metadata.resource_version.clone()
}

/// What happens to one message: it is late, or it is lost and its sender gives up waiting.
#[derive(Clone, Copy, Debug)]
struct Fate {
    late: Duration,
    lost: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    (0_u64..6_000, prop::bool::weighted(0.2)).prop_map(|(ms, lost)| Fate { late: Duration::from_millis(ms), lost })
}

/// What is under way, by candidate.
enum Event {
    Begin,
    ReadArrives,
    ReadAnswered(Option<Lease>),
    WriteArrives(Next, Instant),
    WriteAnswered(Option<Lease>, Instant),
}

/// Runs the candidates and tells when each believed to lead. `fates` says what happens to the next message of a candidate, until it
/// has no more to say.
fn simulate(candidates: usize, mut fates: impl FnMut(usize) -> Option<Fate>) -> Vec<(usize, Instant, Instant)> {
    let start = Instant::now();
    let mut server = Server { lease: None, version: 0 };
    let mut all: Vec<_> =
        (0..candidates).map(|n| Candidate::new("operator", &format!("operator-{n}"), DURATION)).collect();
    let mut events: BTreeMap<(Instant, usize), (usize, Event)> = BTreeMap::new();
    let mut counter = 0;
    let mut terms = Vec::new();
    let mut schedule = |events: &mut BTreeMap<_, _>, at, candidate, event| {
        counter += 1;
        events.insert((at, counter), (candidate, event));
    };
    for candidate in 0..candidates {
        schedule(&mut events, start, candidate, Event::Begin);
    }
    while let Some(((now, _), (who, event))) = events.pop_first() {
        let Some(fate) = fates(who) else { break };
        let later = now + fate.late;
        let mut give_up = |events: &mut _, all: &mut Vec<Candidate>| {
            all[who].forget();
            schedule(events, now + RETRY, who, Event::Begin);
        };
        match event {
            Event::Begin | Event::ReadAnswered(_) | Event::WriteAnswered(..) if fate.lost => {
                give_up(&mut events, &mut all);
            }
            Event::Begin if all[who].holds() => match all[who].next(now, Timestamp::UNIX_EPOCH) {
                write @ Next::Replace(_) => schedule(&mut events, later, who, Event::WriteArrives(write, now)),
                other => panic!("a holder renews, and does not {other:?}"),
            },
            Event::Begin => schedule(&mut events, later, who, Event::ReadArrives),
            Event::ReadArrives => schedule(&mut events, later, who, Event::ReadAnswered(server.lease.clone())),
            Event::ReadAnswered(lease) => {
                all[who].saw(lease, now);
                match all[who].next(now, Timestamp::UNIX_EPOCH) {
                    Next::Follow(_) => schedule(&mut events, now + RETRY, who, Event::Begin),
                    write => schedule(&mut events, later, who, Event::WriteArrives(write, now)),
                }
            }
            Event::WriteArrives(write, sent) => {
                let answer = server.write(write);
                schedule(&mut events, later, who, Event::WriteAnswered(answer, sent));
            }
            Event::WriteAnswered(None, _) => give_up(&mut events, &mut all),
            Event::WriteAnswered(Some(lease), sent) => {
                all[who].saw(Some(lease), now);
                terms.push((who, now, sent + RENEW_WITHIN));
                schedule(&mut events, now + RETRY, who, Event::Begin);
            }
        }
    }
    terms
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_two_candidates_ever_lead_at_one_time(
        candidates in 2_usize..5,
        fates in prop::collection::vec(fate(), 200..600),
    ) {
        let mut fates = fates.iter().copied();
        let terms = simulate(candidates, |_| fates.next());
        for (index, (one, from, until)) in terms.iter().enumerate() {
            for (other, other_from, other_until) in &terms[index + 1..] {
                prop_assert!(one == other || until.min(other_until) <= from.max(other_from));
            }
        }
    }
}

#[test]
fn a_leader_that_is_cut_off_is_followed_by_another_and_follows_it_when_it_is_back() {
    let mut messages = 0;
    let terms = simulate(2, |who| {
        messages += 1;
        let cut_off = who == 0 && (40..200).contains(&messages);
        (messages < 400).then_some(Fate { late: Duration::from_millis(10), lost: cut_off })
    });
    let mut leaders: Vec<_> = terms.iter().map(|(who, _, _)| *who).collect();
    leaders.dedup();
    assert_eq!(leaders, [0, 1]);
}

fn lease_of(candidate: &Candidate, now: Instant) -> Lease {
    match candidate.next(now, Timestamp::UNIX_EPOCH) {
        Next::Create(lease) | Next::Replace(lease) => lease,
        Next::Follow(holder) => panic!("follows {holder}"),
    }
}

#[test]
fn a_lease_is_taken_when_it_has_not_changed_for_its_duration_and_not_before() {
    let now = Instant::now();
    let held = lease_of(&Candidate::new("l", "a", DURATION), now);
    let mut other = Candidate::new("l", "b", DURATION);
    other.saw(Some(held.clone()), now);
    other.saw(Some(held), now + Duration::from_secs(14));
    assert_eq!(other.next(now + Duration::from_millis(14_999), Timestamp::UNIX_EPOCH), Next::Follow("a".to_owned()));
    let taken = lease_of(&other, now + DURATION).spec.unwrap();
    assert_eq!(taken.holder_identity.as_deref(), Some("b"));
    assert_eq!(taken.lease_transitions, Some(1));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let now = Instant::now();
    let mut first = Candidate::new("l", "a", DURATION);
    first.saw(Some(lease_of(&first, now)), now);
    let released = first.released(Timestamp::UNIX_EPOCH).unwrap();
    let mut second = Candidate::new("l", "b", DURATION);
    second.saw(Some(released), now);
    assert!(matches!(second.next(now, Timestamp::UNIX_EPOCH), Next::Replace(_)));
}

#[test]
fn a_renewal_keeps_when_the_lease_was_acquired_and_does_not_count_as_a_transition() {
    let now = Instant::now();
    let mut candidate = Candidate::new("l", "a", DURATION);
    candidate.saw(Some(lease_of(&candidate, now)), now);
    let Next::Replace(renewed) = candidate.next(now, "2026-01-01T00:00:00Z".parse().unwrap()) else {
        panic!("a holder renews")
    };
    let spec = renewed.spec.unwrap();
    assert_eq!(spec.acquire_time, Some(MicroTime(Timestamp::UNIX_EPOCH)));
    assert_ne!(spec.renew_time, spec.acquire_time);
    assert_eq!(spec.lease_transitions, Some(0));
}
