//! What holds of every rotation, however slow its consumers, and whatever becomes of the operator.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::model::{Cluster, Happening, plan, start};
use super::*;
use crate::secrets::MessageKeys;

fn happenings(jumps: bool) -> impl Strategy<Value = Vec<Happening>> {
    let clock =
        if jumps { (-7200..=7200_i16).prop_map(Happening::Jumps).boxed() } else { Just(Happening::Acts).boxed() };
    let one = prop_oneof![
        3 => (1..=400_u16).prop_map(Happening::Pass),
        6 => any::<u8>().prop_map(Happening::Reads),
        3 => any::<u8>().prop_map(Happening::Makes),
        4 => any::<u8>().prop_map(Happening::Counts),
        4 => any::<u8>().prop_map(Happening::Agrees),
        1 => any::<u8>().prop_map(Happening::Falters),
        1 => any::<u8>().prop_map(Happening::Replaced),
        8 => Just(Happening::Acts),
        2 => Just(Happening::Dies),
        2 => Just(Happening::Replays),
        1 => clock,
    ];
    proptest::collection::vec(one, 0..160)
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
    fn a_crash_before_or_after_any_write_changes_nothing_about_the_steps(
        kind in prop::sample::select(vec![Kind::SigningKeys, Kind::Credentials]),
        deaths in proptest::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut cluster = Cluster::new(kind, plan(1));
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
            for number in 0..cluster.servers.len() {
                cluster.happens(Happening::Agrees(u8::try_from(number).unwrap()));
            }
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
