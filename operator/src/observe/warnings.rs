//! Why something is stuck, where Kubernetes says so in events alone: a `StatefulSet` whose pods or volumes are refused, and a pod whose
//! volumes cannot be mounted. Asked for only then, so that a platform that is well, or starts as it should, costs no request.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};

/// How long a pod may take to mount what it needs; a volume is attached in less, as a rule.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after the end of its grace a pod may still be there.
const OVERDUE: Duration = Duration::from_mins(1);
/// The word for a pod that is there for longer, which is ours: Kubernetes has none.
pub const NOT_STOPPING: &str = "PodNotStopping";
/// How old the news may be. Kubernetes tries again every 17 minutes at the latest, and tells again then.
const NEWS: Duration = Duration::from_mins(20);

/// What Kubernetes says of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

/// The identities of objects that do not get on, and whose status does not say why.
pub(super) fn stuck(sets: &[StatefulSet], jobs: &[Job], pods: &[Pod], now: Timestamp) -> Vec<String> {
    let jobs = jobs.iter().filter(|job| lacks_pod(job)).filter_map(Job::uid);
    let sets = sets.iter().filter(|set| lacks_pods(set)).filter_map(StatefulSet::uid);
    let pods = pods.iter().filter(|pod| is_mounting(pod, now)).filter_map(Pod::uid);
    sets.chain(jobs).chain(pods).collect()
}

/// Pods that should have stopped long ago, and what is to say of them.
pub(super) fn overdue(pods: &[Pod], now: Timestamp) -> impl Iterator<Item = (String, Warning)> {
    pods.iter().filter_map(move |pod| {
        // The end of its grace, not the moment at which it was deleted.
        let due = pod.metadata.deletion_timestamp.as_ref()?.0;
        let node = pod.spec.as_ref()?.node_name.as_deref()?;
        let words = format!("should have stopped by {due:.0}, and its node {node} does not confirm it");
        let warning = Warning { reason: NOT_STOPPING.to_owned(), note: words };
        (now.duration_since(due) > SignedDuration::try_from(OVERDUE).ok()?).then(|| Some((pod.uid()?, warning)))?
    })
}

/// What is said of each, if anything. It only explains: an operator that may not ask for it goes without.
pub(super) async fn of(client: &Client, namespace: &str, uids: Vec<String>) -> BTreeMap<String, Warning> {
    let events = ApiResource::erase::<Event>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &events);
    let mut warnings = BTreeMap::new();
    for uid in uids {
        let about = ListParams::default().fields(&format!("type=Warning,regarding.uid={uid}"));
        match api.list(&about).await {
            Ok(events) => {
                if let Some(warning) = newest(&events.items, Timestamp::now()) {
                    warnings.insert(uid, warning);
                }
            }
            Err(error) => tracing::debug!(error = %error, "cannot read events"),
        }
    }
    warnings
}

/// Whether a set that Kubernetes has looked at has fewer pods than it should.
fn lacks_pods(set: &StatefulSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation.is_some()
            && status.observed_generation >= set.metadata.generation
            && status.replicas < wanted
    })
}

/// Whether a Job that is not over has no pod.
fn lacks_pod(job: &Job) -> bool {
    job.status.as_ref().is_some_and(|status| {
        status.start_time.is_some() && status.active.unwrap_or_default() == 0 && status.conditions.is_none()
    })
}

/// Whether a pod has had a node for a while, and none of its containers could begin.
fn is_mounting(pod: &Pod, now: Timestamp) -> bool {
    let Some(status) = pod.status.as_ref().filter(|_| pod.metadata.deletion_timestamp.is_none()) else { return false };
    let conditions = status.conditions.iter().flatten();
    let scheduled =
        conditions.into_iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "True");
    let since = scheduled.and_then(|scheduled| scheduled.last_transition_time.as_ref());
    let late = since.is_some_and(|since| now.duration_since(since.0).unsigned_abs() > PATIENCE);
    let first = status.init_container_statuses.iter().flatten();
    let mut containers = first.chain(status.container_statuses.iter().flatten());
    let begins = |reason: Option<&str>| matches!(reason, Some("ContainerCreating" | "PodInitializing"));
    late && status.phase.as_deref() == Some("Pending")
        && containers.all(|container| {
            let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
            waiting.is_some_and(|waiting| begins(waiting.reason.as_deref()))
        })
}

/// The last of the events, if it is news.
fn newest(events: &[DynamicObject], now: Timestamp) -> Option<Warning> {
    let dated = events.iter().filter_map(|event| Some((when(event)?, event)));
    let (at, event) = dated.max_by_key(|(at, _)| *at)?;
    let word = |field: &str| event.data.get(field)?.as_str().map(str::to_owned);
    let is_news = now.duration_since(at).unsigned_abs() < NEWS;
    is_news.then(|| Some(Warning { reason: word("reason")?, note: word("note")? })).flatten()
}

/// When an event happened last: which field says so is a matter of the library that wrote it.
fn when(event: &DynamicObject) -> Option<Timestamp> {
    let fields = ["/series/lastObservedTime", "/deprecatedLastTimestamp", "/eventTime"];
    let told = fields.iter().filter_map(|field| event.data.pointer(field)?.as_str()?.parse().ok()).max();
    told.or_else(|| event.metadata.creation_timestamp.as_ref().map(|made| made.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn set(wanted: i32, there: i32) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "acme-redis", "uid": "set", "generation": 2},
            "spec": {"replicas": wanted, "selector": {}, "template": {}},
            "status": {"replicas": there, "observedGeneration": 2},
        }))
        .unwrap()
    }

    fn pod(scheduled: &str, containers: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "acme-edge-1", "uid": "pod"},
            "status": {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled}],
                "containerStatuses": containers,
            },
        }))
        .unwrap()
    }

    fn waiting(reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason}});
        json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
    }

    fn event(dates: &Value, reason: &str) -> DynamicObject {
        let mut event = json!({"metadata": {"name": "e"}, "reason": reason, "note": format!("{reason} it is")});
        json_patch::merge(&mut event, dates);
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn only_what_is_stuck_is_asked_about() {
        let (soon, late) = ("2026-01-01T00:09:50Z", "2026-01-01T00:09:00Z");
        let creating = waiting("ContainerCreating");
        assert_eq!(stuck(&[set(3, 3)], &[], &[pod(soon, &creating)], now()), [""; 0]);
        let says_why_itself = pod(late, &waiting("ImagePullBackOff"));
        assert_eq!(stuck(&[set(0, 0)], &[], &[says_why_itself], now()), [""; 0]);
        assert_eq!(stuck(&[set(3, 2)], &[], &[pod(late, &creating)], now()), ["set", "pod"]);
        assert_eq!(stuck(&[], &[], &[pod(late, &json!([]))], now()), ["pod"]);
        let job = |status: Value| -> Job {
            serde_json::from_value(json!({"metadata": {"uid": "job"}, "status": status})).unwrap()
        };
        let begun = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert_eq!(stuck(&[], &[job(begun.clone())], &[], now()), ["job"]);
        let mut at_work = begun.clone();
        at_work["active"] = 1.into();
        let mut over = begun;
        over["conditions"] = json!([{"type": "Complete", "status": "True"}]);
        assert_eq!(stuck(&[], &[job(json!({})), job(at_work), job(over)], &[], now()), [""; 0]);
    }

    #[test]
    fn the_newest_event_is_told_whichever_library_dated_it() {
        let series = json!({
            "series": {"lastObservedTime": "2026-01-01T00:08:00.000000Z"},
            "eventTime": "2026-01-01T00:01:00.000000Z",
        });
        let events = [
            event(&json!({"deprecatedLastTimestamp": "2026-01-01T00:05:00Z"}), "FailedMount"),
            event(&series, "FailedCreate"),
            event(&json!({"eventTime": "2026-01-01T00:07:00.000000Z"}), "Other"),
        ];
        let warning = newest(&events, now()).unwrap();
        assert_eq!((warning.reason.as_str(), warning.note.as_str()), ("FailedCreate", "FailedCreate it is"));
    }

    #[test]
    fn a_pod_that_should_have_stopped_long_ago_is_told_with_its_node() {
        let going = |due: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"uid": "pod", "deletionTimestamp": due},
                "spec": {"containers": [], "nodeName": "worker-2"},
            }))
            .unwrap()
        };
        let told: Vec<_> = overdue(&[going("2026-01-01T00:08:00Z")], now()).collect();
        assert_eq!(told.len(), 1);
        let words = "should have stopped by 2026-01-01T00:08:00Z, and its node worker-2 does not confirm it";
        assert_eq!((told[0].0.as_str(), told[0].1.note.as_str()), ("pod", words));
        assert_eq!(overdue(&[going("2026-01-01T00:09:30Z")], now()).count(), 0);
    }

    #[test]
    fn what_is_old_is_no_news() {
        let old = event(&json!({"eventTime": "2025-12-31T23:00:00.000000Z"}), "FailedCreate");
        assert_eq!(newest(&[old], now()), None);
        assert_eq!(newest(&[], now()), None);
    }
}
