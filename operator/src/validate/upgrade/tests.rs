#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

const OLD: &str = "1.2.3";
const NEW: &str = "1.3.0";

/// Everything runs at one release.
fn sight(release: &str) -> Sight {
    let running = Running { release: Some(release.to_owned()), is_proven: true };
    let all = WAVES.iter().copied().flatten().map(|component| (*component, running.clone()));
    Sight { running: all.collect(), ..Sight::default() }
}

fn migrated(mut sight: Sight) -> Sight {
    sight.jobs = Component::WITH_DATABASE.into_iter().map(|service| (service, true)).collect();
    sight
}

#[test]
fn nothing_changes_before_all_is_well_and_what_ails_is_said() {
    let mut sight = sight(OLD);
    sight.ailing.push("web: away".to_owned());
    let step = next(NEW, &sight).unwrap();
    assert_eq!(step, Step::Check(vec!["web: away".to_owned()]));
    let held = held(OLD, &step, &sight);
    assert!(Component::ALL.iter().all(|component| held[component] == OLD), "{held:?}");
}

#[test]
fn what_has_begun_is_not_held_up_by_what_ails_later() {
    let mut sight = sight(OLD);
    sight.ailing.push("web: away".to_owned());
    sight.jobs.insert(Auth, false);
    assert_eq!(next(NEW, &sight), Some(Step::Migrate));
    let mut sight = migrated(sight);
    assert_eq!(next(NEW, &sight), Some(Step::Roll(0)));
    sight.jobs.clear();
    sight.running.insert(Notification, Running { release: Some(NEW.to_owned()), is_proven: false });
    assert_eq!(next(NEW, &sight), Some(Step::Roll(0)), "it is built for the new release already");
}

#[test]
fn one_database_that_has_not_changed_keeps_everything_at_the_old_release() {
    for service in Component::WITH_DATABASE {
        let mut sight = migrated(sight(OLD));
        sight.jobs.insert(service, false);
        let step = next(NEW, &sight).unwrap();
        assert_eq!(step, Step::Migrate);
        assert!(held(OLD, &step, &sight).values().all(|release| release == OLD));
    }
}

#[test]
fn waves_follow_each_other_and_the_servers_come_last() {
    let mut sight = migrated(sight(OLD));
    for (place, wave) in WAVES.iter().enumerate() {
        let step = next(NEW, &sight).unwrap();
        assert_eq!(step, Step::Roll(place));
        let held = held(OLD, &step, &sight);
        for (before, other) in WAVES.iter().enumerate() {
            assert!(other.iter().all(|component| held.contains_key(component) == (before > place)), "{held:?}");
        }
        assert!(Component::DATA.iter().all(|server| held[server] == OLD));
        for component in *wave {
            sight.running.insert(*component, Running { release: Some(NEW.to_owned()), is_proven: true });
        }
    }
    assert_eq!(next(NEW, &sight), None);
}

#[test]
fn a_release_that_corrects_one_that_failed_takes_over_from_where_that_stopped() {
    let mut sight = sight(OLD);
    sight.running.insert(Notification, Running { release: Some(NEW.to_owned()), is_proven: false });
    let step = next("1.3.1", &sight).unwrap();
    assert_eq!(step, Step::Migrate, "the correction has databases to change as well");
    let held_then = held(OLD, &step, &sight);
    assert_eq!(
        (held_then[&Notification].as_str(), held_then[&Web].as_str()),
        (NEW, OLD),
        "nothing goes back by itself"
    );
    let step = next("1.3.1", &migrated(sight.clone())).unwrap();
    assert_eq!(step, Step::Roll(0));
    assert!(!held(OLD, &step, &sight).contains_key(&Notification));
}

/// What a Job has come to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum JobIs {
    AtWork,
    Done,
    Failed,
}

/// A cluster in the middle of an upgrade, and whether every database has been through it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct World {
    sight: Sight,
    jobs: BTreeMap<Component, JobIs>,
    is_migrated: bool,
}

impl World {
    fn begin() -> Self {
        Self { sight: sight(OLD), jobs: BTreeMap::new(), is_migrated: false }
    }

    /// As the operator sees it.
    fn seen(&self) -> Sight {
        let jobs = self.jobs.iter().map(|(service, is)| (*service, *is == JobIs::Done)).collect();
        Sight { jobs, ..self.sight.clone() }
    }

    fn step(&self) -> Option<Step> {
        next(NEW, &self.seen())
    }

    /// What the operator leaves behind, by the number of writes after which it was killed; all of them is the last.
    fn after_a_run(&self) -> Vec<Self> {
        let (seen, step) = (self.seen(), self.step());
        let held = step.as_ref().map(|step| held(OLD, step, &seen)).unwrap_or_default();
        let mut world = self.clone();
        let mut left = vec![world.clone()];
        let mut wrote = |world: &World| left.push(world.clone());
        if step == Some(Step::Migrate) {
            for service in Component::WITH_DATABASE.into_iter().filter(|service| !self.jobs.contains_key(service)) {
                world.jobs.insert(service, JobIs::AtWork);
                wrote(&world);
            }
        }
        for (place, wave) in WAVES.iter().enumerate() {
            for component in *wave {
                let wanted = held.get(component).map_or(NEW, String::as_str);
                if seen.running[component].release.as_deref() != Some(wanted) {
                    self.may_become(wanted, place);
                    let running = Running { release: Some(wanted.to_owned()), is_proven: false };
                    world.sight.running.insert(*component, running);
                    wrote(&world);
                }
            }
        }
        if step != Some(Step::Migrate) {
            while world.jobs.pop_first().is_some() {
                wrote(&world);
            }
        }
        left
    }

    /// What must hold whenever a component of a wave is written.
    fn may_become(&self, release: &str, wave: usize) {
        assert_eq!(release, NEW, "nothing goes back");
        assert!(self.is_migrated, "written before every database had changed: {self:?}");
        let before = WAVES[..wave].iter().copied().flatten().map(|component| &self.sight.running[component]);
        for earlier in before {
            assert!(earlier.is_proven && earlier.release.as_deref() == Some(NEW), "written too early: {self:?}");
        }
    }

    /// What may happen by itself.
    fn accidents(&self) -> Vec<Self> {
        let mut after = Vec::new();
        for (service, is) in &self.jobs {
            let next: &[Option<JobIs>] = match is {
                JobIs::AtWork => &[Some(JobIs::Done), Some(JobIs::Failed)],
                // Somebody deletes it, to have it tried again.
                JobIs::Failed => &[None],
                JobIs::Done => &[],
            };
            for is in next {
                let mut world = self.clone();
                world.jobs.remove(service);
                world.jobs.extend(is.map(|is| (*service, is)));
                world.is_migrated |= world.jobs.values().filter(|is| **is == JobIs::Done).count() == 4;
                after.push(world);
            }
        }
        for (component, running) in &self.sight.running {
            if running.release.as_deref() == Some(NEW) {
                let mut world = self.clone();
                world.sight.running.get_mut(component).unwrap().is_proven = !running.is_proven;
                after.push(world);
            }
        }
        after
    }

    /// Everything that is under way comes to a good end.
    fn goes_well(&mut self) {
        self.jobs.retain(|_, is| *is != JobIs::Failed);
        self.jobs.values_mut().for_each(|is| *is = JobIs::Done);
        self.is_migrated |= self.jobs.len() == 4;
        self.sight.running.values_mut().for_each(|running| running.is_proven = true);
    }

    /// Services are all alike before the waves begin: worlds that differ in which of them has got how far are one.
    fn canonical(mut self) -> Self {
        let mut states: Vec<Option<JobIs>> =
            Component::WITH_DATABASE.iter().map(|service| self.jobs.get(service).copied()).collect();
        states.sort_unstable();
        let states = Component::WITH_DATABASE.into_iter().zip(states);
        self.jobs = states.filter_map(|(service, is)| Some((service, is?))).collect();
        self
    }
}

#[test]
fn from_every_place_that_crashes_and_failures_lead_to_order_is_kept_and_the_end_is_reached() {
    let mut known = BTreeSet::new();
    let mut open = vec![World::begin()];
    while let Some(world) = open.pop() {
        if !known.insert(world.clone()) {
            continue;
        }
        let after = world.after_a_run().into_iter().chain(world.accidents()).map(World::canonical);
        open.extend(after.filter(|world| !known.contains(world)));
    }
    assert!(known.len() > 500, "only {} places were looked at", known.len());
    for world in known {
        let mut end = world.clone();
        let mut runs = 0;
        while end.step().is_some() {
            end = end.after_a_run().pop().unwrap();
            end.goes_well();
            runs += 1;
            assert!(runs < 20, "no end from {world:?}");
        }
        assert!(end.sight.running.values().all(|running| running.release.as_deref() == Some(NEW)));
    }
}
