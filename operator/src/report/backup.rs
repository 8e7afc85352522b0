//! How backups went: in the status, and in a condition. It is read from the Jobs that the cluster keeps, and what these told before they
//! went is kept from the status before.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Deserialize;

use super::Found;
use super::trouble;
use crate::api::BackupStatus;
use crate::build::backup::RUN;
use crate::build::labels;
use crate::observe::Observed;
use crate::reason::Reason;

/// The condition that tells of it.
pub(super) const CONDITION: &str = "BackupsCurrent";

/// What the program reports of a backup that is whole.
#[derive(Debug, Deserialize)]
struct Report {
    backup: String,
    documents: i64,
    bytes: i64,
    /// What went wrong besides.
    warning: Option<String>,
}

/// The state of a Job that has ended.
struct Ended<'a> {
    job: &'a Job,
    at: String,
    /// Why it failed, as the cluster says; none of one that did not.
    failure: Option<String>,
}

/// What is said of backups; none where none are asked for.
pub(super) fn status(found: &Found<'_>, before: Option<&BackupStatus>) -> Option<BackupStatus> {
    found.platform.backup.as_ref()?;
    let mut status = before.cloned().unwrap_or_default();
    let observed = found.observed;
    if let Some(good) = newest(observed, |ended| ended.failure.is_none())
        && status.last_successful_time.as_ref().is_none_or(|last| *last <= good.at)
    {
        let report = last_words(observed, good.job).and_then(|words| serde_json::from_str::<Report>(words).ok());
        // One whose pod is gone is told of by its time, and was told of by its name before.
        if report.is_some() || status.last_successful_time.as_ref() != Some(&good.at) {
            status.last_backup = report.as_ref().map(|report| report.backup.clone());
            status.last_bytes = report.as_ref().map(|report| report.bytes);
            status.last_documents = report.as_ref().map(|report| report.documents);
        }
        status.last_successful_time = Some(good.at);
    }
    if let Some(bad) = newest(observed, |ended| ended.failure.is_some())
        && status.last_failure_time.as_ref().is_none_or(|last| *last <= bad.at)
    {
        let words = last_words(observed, bad.job).map(str::to_owned);
        if words.is_some() || status.last_failure_time.as_ref() != Some(&bad.at) {
            status.last_failure = words.or(bad.failure);
        }
        status.last_failure_time = Some(bad.at);
    }
    Some(status)
}

/// What the condition `BackupsCurrent` says; none is its status as long as no backup has ended.
pub(super) fn verdict(found: &Found<'_>, status: &BackupStatus) -> (Option<bool>, Reason, String) {
    let good = status.last_successful_time.as_ref().map(|at| {
        let name = status.last_backup.as_ref().map(|name| format!(" is {name}")).unwrap_or_default();
        let size = status.last_bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
        format!("the last good backup{name}, whole at {at}{size}")
    });
    if let Some(trouble) = stuck(found) {
        let good = good.unwrap_or_else(|| "there is no backup yet".to_owned());
        return (Some(false), trouble.reason, format!("a backup cannot begin: {}; {good}", trouble.message));
    }
    let (last_good, last_bad) = (&status.last_successful_time, &status.last_failure_time);
    if let Some(at) = last_bad.as_ref().filter(|bad| last_good.as_ref().is_none_or(|good| good < *bad)) {
        let why = status.last_failure.as_deref().unwrap_or("the logs of its pods tell why");
        let good = good.unwrap_or_else(|| "there is no good one".to_owned());
        return (Some(false), Reason::BackupFailed, format!("the backup that ended at {at} failed: {why}; {good}"));
    }
    let suspended = found.platform.backup.as_ref().is_some_and(|backup| backup.suspend);
    let note = if suspended { "; spec.backup.suspend is true, and no other one is made by itself" } else { "" };
    match good {
        Some(good) => {
            let warning = warning(found.observed).map(|warning| format!("; {warning}")).unwrap_or_default();
            (Some(true), Reason::BackupSucceeded, format!("{good}{warning}{note}"))
        }
        None => (None, Reason::BackupPending, format!("no backup has been made yet{note}")),
    }
}

/// What keeps the pod of a backup from running, and will not pass by itself.
fn stuck(found: &Found<'_>) -> Option<trouble::Trouble> {
    let observed = found.observed;
    let is_active =
        |job: &&Job| is_run(job) && job.status.as_ref().is_some_and(|status| status.active.unwrap_or(0) > 0);
    let jobs = observed.backup_jobs.iter().filter(is_active);
    let mut troubles = jobs.flat_map(|job| pods(observed, job)).filter_map(|pod| trouble::of(pod, &observed.warnings));
    troubles.find(trouble::Trouble::lasts)
}

fn warning(observed: &Observed) -> Option<String> {
    let good = newest(observed, |ended| ended.failure.is_none())?;
    serde_json::from_str::<Report>(last_words(observed, good.job)?).ok()?.warning
}

/// The newest of the Jobs that have ended in such a way.
fn newest(observed: &Observed, is_such: impl Fn(&Ended<'_>) -> bool) -> Option<Ended<'_>> {
    let ended = observed.backup_jobs.iter().filter(|job| is_run(job)).filter_map(ended).filter(is_such);
    ended.max_by(|one, other| one.at.cmp(&other.at))
}

fn is_run(job: &Job) -> bool {
    job.labels().get(labels::COMPONENT).is_some_and(|errand| errand == RUN)
}

fn ended(job: &Job) -> Option<Ended<'_>> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True");
    let (condition, failed) = is("Complete").map(|is| (is, false)).or_else(|| is("Failed").map(|is| (is, true)))?;
    let at = condition.last_transition_time.as_ref()?.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let failure = failed.then(|| condition.message.clone().unwrap_or_else(|| "it failed".to_owned()));
    Some(Ended { job, at, failure })
}

/// What the last of a Job's pods said at its end.
fn last_words<'a>(observed: &'a Observed, job: &Job) -> Option<&'a str> {
    let ends = pods(observed, job).filter_map(|pod| {
        let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        let end = container.state.as_ref()?.terminated.as_ref()?;
        Some((end.finished_at.as_ref()?.0, end.message.as_deref()?))
    });
    ends.max_by_key(|(at, _)| *at).map(|(_, words)| words)
}

fn pods<'a>(observed: &'a Observed, job: &Job) -> impl Iterator<Item = &'a Pod> {
    let uid = job.uid();
    observed
        .backup_pods
        .iter()
        .filter(move |pod| pod.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()))
}
