//! The way from one release to another: what is looked at before anything changes, then the databases, then what runs, one wave after the
//! other, each proven before the next. Where it stands is read from the cluster each time, so whoever takes over goes on from there.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::hibernation::Hibernation;
use super::platform::Platform;
use super::release;
use crate::build::{Component, labels};
use crate::observe::{Observed, Rollout};
use Component::{Auth, Chat, Edge, Gateway, Media, MongoDb, Notification, Web};

/// What changes over to a new release together, in order: those that are asked come before those that ask, and who consumes events before
/// those who publish them. So nobody meets a question, or an event, that it does not know yet.
pub const WAVES: [&[Component]; 5] = [&[Notification], &[Auth, Chat, Media], &[Gateway], &[Web], &[Edge]];

/// An upgrade that is under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upgrade {
    /// The release that serves until it is whole.
    pub from: String,
    /// What it has come to.
    pub step: Step,
    /// Components that are not to be of the new release yet, and what they are of.
    held: BTreeMap<Component, String>,
}

/// What an upgrade has come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing has changed, since something should be well first: what, for people.
    Check(Vec<String>),
    /// The databases are brought to the form of the new release, which the one that serves knows as well.
    Migrate,
    /// The wave of this number changes over; those before it have.
    Roll(usize),
}

/// What there is to see of an upgrade.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Sight {
    /// What should be well before it begins.
    ailing: Vec<String>,
    /// Jobs of the new release, and whether each has succeeded.
    jobs: BTreeMap<Component, bool>,
    /// What runs.
    running: BTreeMap<Component, Running>,
}

/// What is seen of a component.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Running {
    /// The release that it was built for last.
    release: Option<String>,
    /// Whether all its pods are of that, and work.
    is_proven: bool,
}

impl Upgrade {
    /// What is under way for a platform of which the release `from` serves; nothing where that is the one that is wanted, also on the way
    /// back to it, and nothing where none has served before.
    pub(super) fn of(platform: &Platform, from: Option<&str>, observed: &Observed) -> Option<Self> {
        let from = from.filter(|from| *from != platform.version)?;
        let sight = look(platform, from, observed);
        let step = if platform.hibernation == Hibernation::Awake {
            next(&platform.version, &sight)?
        } else {
            Step::Check(vec!["spec.hibernated is true".to_owned()])
        };
        Some(Self { from: from.to_owned(), held: held(from, &step, &sight), step })
    }

    /// One at a step, with every component that has not had its turn at the release before.
    #[cfg(test)]
    pub(crate) fn at(from: &str, step: Step) -> Self {
        Self { from: from.to_owned(), held: held(from, &step, &Sight::default()), step }
    }

    /// What a component is of that is not to be of the new release yet.
    pub(super) fn held(&self, component: Component) -> Option<&str> {
        self.held.get(&component).map(String::as_str)
    }
}

/// The release of a platform that has not served yet: that with which it was begun.
pub(super) fn begun(observed: &Observed) -> Option<&str> {
    let releases = observed.deployments.iter().filter_map(|deployment| deployment.annotations().get(labels::RELEASE));
    release::lowest(releases.map(String::as_str))
}

/// What comes next on the way to release `to`; nothing once all of it is there.
fn next(to: &str, sight: &Sight) -> Option<Step> {
    let running = |component| sight.running.get(component).filter(|running| running.release.as_deref() == Some(to));
    // Only after every database has changed is anything built for it.
    let is_rolling = WAVES.iter().copied().flatten().any(|component| running(component).is_some());
    if !is_rolling {
        // What has begun is not held up by a pod that comes and goes.
        if sight.jobs.is_empty() && !sight.ailing.is_empty() {
            return Some(Step::Check(sight.ailing.clone()));
        }
        if !Component::WITH_DATABASE.iter().all(|service| sight.jobs.get(service) == Some(&true)) {
            return Some(Step::Migrate);
        }
    }
    let is_there = |component| running(component).is_some_and(|running| running.is_proven);
    WAVES.iter().position(|wave| !wave.iter().all(is_there)).map(Step::Roll)
}

/// The components whose turn has not come, each with the release that it stays at. The servers keep theirs until all else is done: a
/// release works with the servers of the one before.
fn held(from: &str, step: &Step, sight: &Sight) -> BTreeMap<Component, String> {
    let has_turn = |component: &Component| match step {
        Step::Check(_) | Step::Migrate => false,
        Step::Roll(last) => WAVES.iter().take(last + 1).any(|wave| wave.contains(component)),
    };
    let stays = |component: Component| {
        let release = sight.running.get(&component).and_then(|running| running.release.as_deref());
        (component, release.unwrap_or(from).to_owned())
    };
    Component::ALL.into_iter().filter(|component| !has_turn(component)).map(stays).collect()
}

fn look(platform: &Platform, from: &str, observed: &Observed) -> Sight {
    let mut ailing = Vec::new();
    for component in Component::DATA.into_iter().filter(|component| !platform.is_external(*component)) {
        let name = platform.names.object(component.name());
        let set = observed.stateful_sets.iter().find(|set| set.name_any() == name);
        if !set.is_some_and(|set| Rollout::of_stateful_set(set).is_proven()) {
            ailing.push(format!("{}: not all of its pods are ready", component.name()));
        }
    }
    if !observed.mongodb_serves {
        ailing.push(format!("{}: takes no writes, or has not been asked yet", MongoDb.name()));
    }
    let mut running = BTreeMap::new();
    for component in WAVES.iter().copied().flatten().copied() {
        let name = platform.names.object(component.name());
        let Some(deployment) = observed.deployments.iter().find(|deployment| deployment.name_any() == name) else {
            continue;
        };
        let workload = platform.workload(component);
        let fewest = workload.filter(|workload| workload.autoscaling.is_some()).map(|workload| workload.replicas);
        let rollout = Rollout::of_deployment(deployment, fewest);
        let is_proven = rollout.is_proven();
        let release = deployment.annotations().get(labels::RELEASE).cloned();
        // What serves nobody has nothing to lose, and what an upgrade has stopped at will not get well by itself: the new release may be the cure.
        let waits_for_cure = rollout.available == 0 || release.as_deref().is_some_and(|release| release != from);
        if !is_proven && !waits_for_cure {
            ailing.push(format!("{}: not all of its pods are ready, or of its newest form", component.name()));
        }
        running.insert(component, Running { release, is_proven });
    }
    Sight { ailing, jobs: jobs(&platform.version, observed), running }
}

/// The services for which there is a Job of a release, and whether one has succeeded.
fn jobs(release: &str, observed: &Observed) -> BTreeMap<Component, bool> {
    let mut found = BTreeMap::new();
    for job in &observed.jobs {
        let labels = job.labels();
        let service = labels.get(labels::COMPONENT).and_then(|name| Component::from_name(name));
        if let Some(service) = service
            && labels.get(labels::VERSION).is_some_and(|version| version == release)
        {
            *found.entry(service).or_default() |= has_condition(job, "Complete");
        }
    }
    found
}

/// Whether a Job says this of itself.
#[must_use]
pub fn has_condition(job: &Job, type_: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_ && condition.status == "True")
}

#[cfg(test)]
mod tests;
