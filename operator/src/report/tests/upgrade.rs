use super::*;
use crate::validate::{Step, Upgrade};

const OLD: &str = "0.0.9";

/// A platform at a step of its upgrade to this release.
fn at(step: Step) -> Cluster {
    let mut cluster = Cluster::ready();
    cluster.platform.upgrade = Some(Upgrade::at(OLD, step));
    cluster.applied.jobs = build::build(&cluster.platform).jobs;
    cluster
}

/// The status of a platform of the older release of which all is ready.
fn serving() -> ChatPlatformStatus {
    let mut before = Cluster::ready().status(None, EARLIER);
    before.version = Some(OLD.to_owned());
    before
}

/// The Job of auth, with this as its status.
fn job_of_auth(cluster: &mut Cluster, status: serde_json::Value) -> String {
    let job = &mut cluster.applied.jobs[0];
    job.status = serde_json::from_value(status).unwrap();
    job.name_any()
}

#[test]
fn while_an_upgrade_is_under_way_its_step_is_said_and_the_release_that_serves_stays_in_the_status() {
    let before = serving();
    let status = at(Step::Migrate).status(Some(&before), LATER);
    assert_eq!(status.version.as_deref(), Some(OLD));
    let reconciling = condition(&status, "Reconciling");
    assert_eq!((reconciling.status.as_str(), reconciling.reason.as_str()), ("True", "Upgrading"));
    assert_eq!(
        reconciling.message,
        format!(
            "upgrade from 0.0.9, which serves, to {}: brings the databases of auth, chat, media, notification to its form",
            crate::VERSION
        )
    );
    assert!(!is(&status, "Ready") && !is(&status, "Stalled") && is(&status, "ServicesReady"));
    assert_eq!(status.ready.as_deref(), Some("11/11"), "all of them serve");
    let message = row(&status, "auth").message.clone().unwrap();
    assert!(message.starts_with("its database is brought to the form of "), "{message}");

    let done = Cluster::ready().status(Some(&status), LATER);
    assert_eq!(done.version.as_deref(), Some(crate::VERSION));
    assert!(is(&done, "Ready"));
}

#[test]
fn each_step_of_an_upgrade_is_an_event_of_its_own_that_warns_of_nothing_and_is_told_once() {
    let before = serving();
    let waiting = at(Step::Check(vec!["web: away".into()])).status(Some(&before), LATER);
    assert!(condition(&waiting, "Ready").message.ends_with(": begins once all is well; web: away"));
    let begun: Vec<_> = changed(Some(&before), &waiting).map(event).collect();
    assert!(begun.iter().all(|event| matches!(event.type_, EventType::Normal) && event.reason == "Upgrading"));
    assert_eq!(begun.len(), 2);
    let mut actions: Vec<String> = begun.into_iter().map(|event| event.action).collect();
    // What it waits for may come and go, and is no step.
    let other = at(Step::Check(vec!["edge: away".into()])).status(Some(&waiting), LATER);
    assert_eq!(changed(Some(&waiting), &other).count(), 0);
    let mut before = waiting;
    for step in [Step::Migrate, Step::Roll(0), Step::Roll(1)] {
        let status = at(step).status(Some(&before), LATER);
        let told: Vec<_> = changed(Some(&before), &status).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        actions.push(event(told[0]).action);
        assert_eq!(changed(Some(&status), &status).count(), 0);
        before = status;
    }
    let all = actions.len();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions.len(), all, "events of one action are counted as one");
}

#[test]
fn a_migration_that_has_failed_stops_the_upgrade_and_says_where_and_how_to_go_on_or_back() {
    let mut cluster = at(Step::Migrate);
    let failed = json!({"failed": 5, "conditions": [{"type": "Failed", "status": "True"}]});
    let job = job_of_auth(&mut cluster, failed);
    let before = serving();
    let status = cluster.status(Some(&before), LATER);
    let stalled = condition(&status, "Stalled");
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "MigrationFailed"));
    for words in
        ["has stopped at auth, and 0.0.9 serves", &format!("`kubectl logs job/{job}`"), "set spec.version to 0.0.9"]
    {
        assert!(stalled.message.contains(words), "{words} is not in {}", stalled.message);
    }
    assert_eq!((status.phase.as_deref(), status.version.as_deref()), (Some("Failed"), Some(OLD)));
    assert!(row(&status, "auth").message.as_ref().unwrap().contains(&job));
    assert!(is(&status, "ServicesReady"), "the old release serves");
    let warned: Vec<_> = changed(Some(&before), &status).map(event).collect();
    assert!(warned.iter().any(|event| matches!(event.type_, EventType::Warning) && event.reason == "MigrationFailed"));
}

#[test]
fn a_migration_that_is_tried_again_is_progress_and_an_image_that_cannot_be_pulled_is_a_stop() {
    let mut cluster = at(Step::Migrate);
    let job = job_of_auth(&mut cluster, json!({"failed": 2, "active": 1}));
    let status = cluster.status(Some(&serving()), LATER);
    assert!(is(&status, "Reconciling") && !is(&status, "Stalled"));
    assert!(row(&status, "auth").message.as_ref().unwrap().contains("has failed 2 times and is tried again"));

    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let mut pod = pod(
        "acme-auth-x",
        "migration",
        &json!([{"name": "auth", "image": "r/auth:9", "imageID": "", "ready": false, "restartCount": 0, "state": waiting}]),
    );
    pod.labels_mut().insert("batch.kubernetes.io/job-name".into(), job);
    cluster.observed.pods = vec![pod];
    let status = cluster.status(Some(&serving()), LATER);
    let stalled = condition(&status, "Stalled");
    assert_eq!(stalled.reason, "ImagePullBackOff");
    assert!(stalled.message.contains("stopped at auth") && stalled.message.contains("r/auth:9"), "{}", stalled.message);
    assert!(is(&status, "ServicesReady"));
}

#[test]
fn a_component_that_does_not_become_ready_in_its_time_stops_the_upgrade_where_it_is() {
    let mut cluster = at(Step::Roll(2));
    let gateway = cluster.applied.deployments.iter_mut().find(|found| found.name_any() == "acme-gateway").unwrap();
    gateway.status = serde_json::from_value(json!({
        "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
    }))
    .unwrap();
    let status = cluster.status(Some(&serving()), LATER);
    let stalled = condition(&status, "Stalled");
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "ProgressDeadlineExceeded"));
    assert!(stalled.message.contains("stopped at gateway, and 0.0.9 serves"), "{}", stalled.message);
    assert!(stalled.message.contains("`kubectl describe deployment acme-gateway`"), "{}", stalled.message);
    assert_eq!(row(&status, "gateway").ready, 1, "the old pod serves");
    // Of a component whose turn has not come, or that has had it, it is none.
    let mut elsewhere = at(Step::Roll(3));
    elsewhere.applied.deployments.clone_from(&cluster.applied.deployments);
    assert!(!is(&elsewhere.status(Some(&serving()), LATER), "Stalled"));
}

#[test]
fn a_platform_that_has_never_been_ready_has_no_release_that_serves() {
    let mut cluster = Cluster::ready();
    cluster.lose_pod_of("acme-web");
    assert_eq!(cluster.status(None, EARLIER).version, None);
}
