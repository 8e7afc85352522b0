use k8s_openapi::api::batch::v1::Job;

use super::*;
use crate::validate::{Backup, Bucket};

/// A platform that asks for backups.
fn backed_up() -> Cluster {
    let mut cluster = Cluster::ready();
    let bucket = Bucket {
        endpoint: "https://s3.example".into(),
        region: "us-east-1".into(),
        name: "backups".into(),
        path_style: false,
        public_url: "https://s3.example".into(),
    };
    cluster.platform.backup = Some(Backup {
        schedule: "0 3 * * *".into(),
        retention: 7,
        suspend: false,
        bucket,
        port: 443,
        prefix: "team/acme".into(),
        credentials: "theirs".into(),
    });
    cluster
}

/// A Job that has ended so at this hour, and the last words of its pod.
fn ended(cluster: &mut Cluster, hour: u8, errand: &str, condition: &str, words: Option<&str>) {
    let at = format!("2026-01-01T{hour:02}:00:00Z");
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": format!("acme-backup-{hour}"), "uid": format!("job-{hour}"), "labels": {
            "app.kubernetes.io/name": "backup", "app.kubernetes.io/component": errand,
        }},
        "status": {"conditions": [{"type": condition, "status": "True", "lastTransitionTime": at, "message": "Job has reached the specified backoff limit"}]},
    }))
    .unwrap();
    let terminated = json!({"exitCode": 0, "finishedAt": at, "message": words});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("acme-backup-{hour}-x"), "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": format!("job-{hour}")},
        ]},
        "status": {"containerStatuses": [
            {"name": "backup", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": {"terminated": terminated}},
        ]},
    }))
    .unwrap();
    cluster.observed.backup_jobs.push(job);
    cluster.observed.backup_pods.push(pod);
}

const GOOD: &str =
    r#"{"backup": "20260101T030000Z-5f0c2a91", "at": "2026-01-01T03:00:00Z", "documents": 12, "bytes": 3456}"#;

#[test]
fn without_backups_nothing_is_said_of_them() {
    let status = Cluster::ready().status(None, EARLIER);
    assert_eq!(status.backup, None);
    assert!(status.conditions.iter().all(|condition| condition.type_ != "BackupsCurrent"));
}

#[test]
fn until_one_has_ended_it_is_not_known_how_backups_go() {
    let status = backed_up().status(None, EARLIER);
    let current = condition(&status, "BackupsCurrent");
    assert_eq!((current.status.as_str(), current.reason.as_str()), ("Unknown", "BackupPending"));
    assert_eq!(status.phase.as_deref(), Some("Ready"));
}

#[test]
fn the_last_good_backup_is_told_with_its_name_and_size() {
    let mut cluster = backed_up();
    ended(&mut cluster, 3, "run", "Complete", Some(GOOD));
    let status = cluster.status(None, LATER);
    let backup = status.backup.clone().unwrap();
    assert_eq!(backup.last_successful_time.as_deref(), Some("2026-01-01T03:00:00Z"));
    assert_eq!(backup.last_backup.as_deref(), Some("20260101T030000Z-5f0c2a91"));
    assert_eq!((backup.last_bytes, backup.last_documents), (Some(3456), Some(12)));
    let current = condition(&status, "BackupsCurrent");
    assert_eq!((current.status.as_str(), current.reason.as_str()), ("True", "BackupSucceeded"));
    assert!(current.message.contains("20260101T030000Z-5f0c2a91"), "{}", current.message);

    // Its pod, and then the Job itself, are gone: what it told stays, and nothing is written anew.
    cluster.observed.backup_pods.clear();
    assert_eq!(cluster.status(Some(&status), LATER), status);
    cluster.observed.backup_jobs.clear();
    assert_eq!(cluster.status(Some(&status), LATER), status);
}

#[test]
fn a_backup_that_failed_is_told_with_its_last_words_and_the_last_good_one() {
    let mut cluster = backed_up();
    ended(&mut cluster, 3, "run", "Complete", Some(GOOD));
    let before = cluster.status(None, LATER);
    ended(&mut cluster, 4, "run", "Failed", Some("the bucket is gone. Make the bucket"));
    let status = cluster.status(Some(&before), LATER);
    let current = condition(&status, "BackupsCurrent");
    assert_eq!((current.status.as_str(), current.reason.as_str()), ("False", "BackupFailed"));
    for part in ["Make the bucket", "20260101T030000Z-5f0c2a91"] {
        assert!(current.message.contains(part), "{}", current.message);
    }
    assert_eq!(status.phase.as_deref(), Some("Ready"), "people chat all the while");
    let events: Vec<&str> = changed(Some(&before), &status).map(|condition| condition.reason.as_str()).collect();
    assert_eq!(events, ["BackupFailed"]);

    ended(&mut cluster, 5, "run", "Complete", None);
    let after = cluster.status(Some(&status), LATER);
    assert!(is(&after, "BackupsCurrent"));
    assert_eq!(after.backup.unwrap().last_failure_time.as_deref(), Some("2026-01-01T04:00:00Z"));
}

#[test]
fn without_last_words_the_clusters_own_are_told() {
    let mut cluster = backed_up();
    ended(&mut cluster, 4, "run", "Failed", None);
    let status = cluster.status(None, LATER);
    assert!(condition(&status, "BackupsCurrent").message.contains("backoff limit"));
    let events: Vec<&str> =
        changed(Some(&backed_up().status(None, EARLIER)), &status).map(|condition| condition.reason.as_str()).collect();
    assert_eq!(events, ["BackupFailed"], "the first one to end is news");
}

#[test]
fn a_restore_is_no_backup() {
    let mut cluster = backed_up();
    ended(&mut cluster, 3, "restore", "Complete", Some(GOOD));
    assert_eq!(condition(&cluster.status(None, LATER), "BackupsCurrent").reason, "BackupPending");
}
