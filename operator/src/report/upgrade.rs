//! What is said of an upgrade: which step it is at, where it has stopped, and what to do then.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::trouble::{self, Trouble};
use super::{Found, components};
use crate::api::Condition;
use crate::build::{Component, labels, workload};
use crate::reason::Reason;
use crate::validate::{Step, Upgrade, WAVES, has_condition};

/// Which step an upgrade is at, if one is under way.
pub(super) fn progress(found: &Found<'_>) -> Option<String> {
    let upgrade = found.platform.upgrade.as_ref()?;
    let step = match &upgrade.step {
        Step::Check(_) => "begins once all is well".to_owned(),
        Step::Migrate => format!("brings the databases of {} to its form", names(&Component::WITH_DATABASE)),
        Step::Roll(wave) => {
            format!("{} of {}, rolls out {}", wave + 1, WAVES.len(), names(WAVES.get(*wave).unwrap_or(&&[][..])))
        }
    };
    Some(format!("upgrade from {}, which serves, to {}: {step}", upgrade.from, found.platform.version))
}

/// What an upgrade waits for before it begins.
pub(super) fn ailing<'a>(found: &Found<'a>) -> &'a [String] {
    match &found.platform.upgrade {
        Some(Upgrade { step: Step::Check(ailing), .. }) => ailing,
        _ => &[],
    }
}

/// Where an upgrade has stopped until somebody acts, why, and what to do.
pub(super) fn stopped(found: &Found<'_>) -> Option<(Reason, String)> {
    let upgrade = found.platform.upgrade.as_ref()?;
    let (component, reason, why) = match &upgrade.step {
        // What ails the release that serves is told as ever.
        Step::Check(_) => return None,
        Step::Migrate => Component::WITH_DATABASE.into_iter().find_map(|service| {
            let trouble = migration(found, service).filter(is_final)?;
            Some((service, trouble.reason, trouble.message))
        }),
        Step::Roll(wave) => WAVES.get(*wave)?.iter().find_map(|component| {
            let trouble = roll(found, *component)?;
            Some((*component, trouble.reason, trouble.message))
        }),
    }?;
    let (from, to) = (&upgrade.from, &found.platform.version);
    let message = format!(
        "the upgrade from {from} to {to} has stopped at {}, and {from} serves: {why}. It goes on by itself once that is mended, or with \
         a later release in spec.version; to return, set spec.version to {from}",
        component.name()
    );
    Some((reason, message))
}

/// What is said of a component that is ready as it is while its upgrade is under way.
pub(super) fn remark(found: &Found<'_>, component: Component) -> Option<String> {
    let Upgrade { step: Step::Migrate, .. } = found.platform.upgrade.as_ref()? else { return None };
    if let Some(trouble) = migration(found, component) {
        return Some(format!("its database stays as it is: {}", trouble.message));
    }
    let job = job(found, component)?;
    (!has_condition(job, "Complete"))
        .then(|| format!("its database is brought to the form of {}", found.platform.version))
}

/// Whether a condition tells of another step of an upgrade than before, its status being the same.
pub(super) fn is_step(before: &Condition, now: &Condition) -> bool {
    is_of_upgrade(now) && now.type_ == "Reconciling" && now.status == "True" && now.message != before.message
}

/// The action of the event about a condition, if that is the step of an upgrade: each is another, so that it is an event of its own.
pub(super) fn action(condition: &Condition) -> Option<String> {
    // A digest has 64 characters.
    is_of_upgrade(condition)
        .then(|| format!("{}-{}", condition.type_, &workload::digest([condition.message.as_str()])[..8]))
}

fn is_of_upgrade(condition: &Condition) -> bool {
    Reason::Upgrading == condition.reason.as_str()
}

/// What ails the Job of a service.
fn migration(found: &Found<'_>, service: Component) -> Option<Trouble> {
    let job = job(found, service)?;
    let name = job.name_any();
    if has_condition(job, "Failed") {
        let message = format!(
            "the migration of its database has failed: see `kubectl logs job/{name}`, and delete the Job to have it tried again"
        );
        return Some(Trouble { reason: Reason::MigrationFailed, message });
    }
    let warnings = &found.observed.warnings;
    let of_pods = found.observed.pods_of_job(&name).find_map(|pod| trouble::of(pod, warnings));
    of_pods.or_else(|| trouble::of_job(job, warnings)).or_else(|| {
        let times = job.status.as_ref()?.failed.filter(|times| *times > 0)?;
        let message = format!(
            "the migration of its database has failed {times} times and is tried again: see `kubectl logs job/{name}`"
        );
        Some(Trouble { reason: Reason::Progressing, message })
    })
}

/// What keeps a component from becoming one of the new release.
fn roll(found: &Found<'_>, component: Component) -> Option<Trouble> {
    let trouble = components::trouble(found, component);
    if trouble.as_ref().is_some_and(Trouble::lasts) {
        return trouble;
    }
    let name = found.platform.names.object(component.name());
    let deployment = found.applied.deployments.iter().find(|deployment| deployment.name_any() == name)?;
    trouble::is_overdue(deployment).then(|| {
        let why = trouble.map_or_else(
            || format!("see `kubectl describe deployment {name}` and the logs of its newest pod"),
            |trouble| trouble.message,
        );
        let message = format!("its new pods did not become ready in time: {why}");
        Trouble { reason: Reason::ProgressDeadlineExceeded, message }
    })
}

fn is_final(trouble: &Trouble) -> bool {
    trouble.lasts() || trouble.reason == Reason::MigrationFailed
}

/// The Job of a service, as the API server has it.
fn job<'a>(found: &Found<'a>, service: Component) -> Option<&'a Job> {
    let is_of = |job: &&Job| job.labels().get(labels::COMPONENT).is_some_and(|name| name == service.name());
    found.applied.jobs.iter().find(is_of)
}

fn names(components: &[Component]) -> String {
    components.iter().map(|component| component.name()).collect::<Vec<_>>().join(", ")
}
