//! Backups into a store that is not the platform's own, and the way back, as `docs/explanation/backup.md` has it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::people::{text, two_in_conversation, unique};
use super::status::condition;
use super::wait::until;
use super::{Stage, deletion};
use crate::progress::seconds;

/// The store, its bucket and its account.
const STORE: &str = "backup-store";
const BUCKET: &str = "backups";
const ID: &str = "backup-store-id";
const SECRET: &str = "backup-store-secret";

/// Messages that are there before the backup.
const MESSAGES: usize = 150;
/// How long a Job may take, its image being there.
const LIMIT: Duration = Duration::from_mins(3);
/// How long it may take until the status tells of what a Job has done.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn a_backup_restored_into_a_new_platform_has_every_message(stage: &Stage) -> Result<()> {
    stage.wait_until_usable()?;
    stage.apply(&store().to_string())?;
    let _gone = Gone(stage);
    stage.kubectl(["rollout", "status", &format!("deployment/{STORE}"), "--timeout=120s"])?;
    stage.change(&backed_up())?;
    until("there is what makes backups", TOLD_WITHIN, || {
        let current = condition(&stage.read_platform()?, "BackupsCurrent")?;
        ensure!(current["reason"] == "BackupPending", "{current}");
        stage.kubectl(["get", "cronjob", &cron_job(stage, "backup")]).map(drop)
    })?;

    let (ada, ben, conversation) = two_in_conversation(stage)?;
    for number in 0..MESSAGES {
        ada.send(stage, &conversation, &format!("message {number}"))?;
    }
    let history = ben.history(stage, &conversation)?;
    ensure!(history.len() == MESSAGES, "there are {} messages", history.len());

    let began = Instant::now();
    run(stage, "backup-now", "backup")?;
    let took = began.elapsed();
    let told = until("the status tells of the backup", TOLD_WITHIN, || {
        let platform = stage.read_platform()?;
        let current = condition(&platform, "BackupsCurrent")?;
        ensure!(current["status"] == "True", "{current}");
        ensure!(platform["status"]["backup"]["lastBackup"].is_string(), "{}", platform["status"]["backup"]);
        Ok(platform["status"]["backup"].clone())
    })?;
    // What comes after the backup is not in it.
    ada.send(stage, &conversation, "too late")?;

    let keys = [saved(stage, "message-keys")?, saved(stage, "account-keys")?];
    deletion::remove_with_all_data(stage)?;
    for secret in keys {
        stage.apply(&secret.to_string())?;
    }
    stage.apply_platform()?;
    stage.trust_anew()?;
    stage.change(&backed_up())?;
    stage.wait_until_ready()?;

    let began = Instant::now();
    stop_services(stage)?;
    run(stage, "restore", "restore").context("after the services have stopped")?;
    stage.change(&backed_up())?;
    stage.wait_until_usable()?;
    stage.note(format!("backed up in {}, back after {}", seconds(took), seconds(began.elapsed())));
    stage.note(format!("{} bytes", told["lastBytes"]));

    let ben = ben.log_in(stage)?;
    let found = ben.history(stage, &conversation)?;
    ensure!(found == history, "the history has {} messages, and had {}", found.len(), history.len());
    let more = ada.log_in(stage)?.send(stage, &conversation, "and on it goes")?;
    ensure!(more["seq"] == MESSAGES + 1, "the numbers do not go on: {}", more["seq"]);
    let found = ben.get(stage, "/api/v1/search/messages?q=message&limit=1")?.expect(200)?;
    ensure!(found["items"].as_array().is_some_and(|items| !items.is_empty()), "the search finds nothing: {found}");

    // A second one finds the platform in use, and changes nothing.
    let refused = run(stage, "restore-again", "restore");
    ensure!(refused.is_err(), "a restore over what people have written was not refused");
    let still = ben.history(stage, &conversation)?;
    ensure!(still.len() == MESSAGES + 1, "something was changed: {} messages", still.len());
    stage.change(&json!({}))?;
    stage.wait_until_usable().map(drop)
}

pub(super) fn a_backup_that_fails_is_told_in_the_status_and_by_an_event(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    stage.apply(&store().to_string())?;
    let _gone = Gone(stage);
    stage.kubectl(["rollout", "status", &format!("deployment/{STORE}"), "--timeout=120s"])?;
    let mut document = backed_up();
    document["spec"]["backup"]["objectStorage"]["bucket"] = "not-there".into();
    stage.change(&document)?;
    until("there is what makes backups", TOLD_WITHIN, || {
        stage.kubectl(["get", "cronjob", &cron_job(stage, "backup")]).map(drop)
    })?;
    let name = unique("backup");
    make(stage, &name, "backup")?;
    // Tried once, as it would not go otherwise a second time.
    stage.kubectl(["patch", "job", &name, "--type=merge", "--patch", r#"{"spec":{"activeDeadlineSeconds":20}}"#])?;
    until("the status tells why", LIMIT, || {
        let current = condition(&stage.read_platform()?, "BackupsCurrent")?;
        let message = text(&current, "message")?;
        ensure!(current["reason"] == "BackupFailed", "{current}");
        ensure!(message.contains("Make the bucket"), "{message}");
        Ok(())
    })?;
    until("an event tells of it", TOLD_WITHIN, || {
        let events = stage.kubectl(["get", "events", "--field-selector=reason=BackupFailed"])?;
        ensure!(events.contains("BackupsCurrent is False"), "{events}");
        Ok(())
    })?;
    ensure!(condition(&stage.read_platform()?, "Ready")?["status"] == "True", "the platform is not Ready for it");
    stage.change(&json!({}))?;
    until("what made backups is gone", TOLD_WITHIN, || {
        let left = stage.kubectl(["get", "cronjobs", "--output=name"])?;
        ensure!(left.is_empty(), "left: {left}");
        Ok(())
    })
}

/// What the document says of backups: none by itself.
fn backed_up() -> Value {
    json!({"spec": {"backup": {
        // The 31st of February.
        "schedule": "0 0 31 2 *",
        "objectStorage": {
            "endpoint": format!("http://{STORE}:7070"),
            "bucket": BUCKET,
            "pathStyle": true,
            "credentialsSecretRef": {"name": STORE},
        },
    }}})
}

/// As a person does it: everything that writes to the databases stops, and the operator does not bring it back.
fn stop_services(stage: &Stage) -> Result<()> {
    let mut paused = backed_up();
    paused["spec"]["paused"] = true.into();
    stage.change(&paused)?;
    stage.kubectl(["wait", "chatplatform", &stage.platform, "--for=condition=Paused", "--timeout=60s"])?;
    let ours = format!("--selector={}", stage.selector());
    stage.kubectl(["scale", "deployment", &ours, "--replicas=0"])?;
    let services = format!("{},app.kubernetes.io/name in (auth,chat,media,notification)", stage.selector());
    until("the services have stopped", LIMIT, || {
        let pods = stage.kubectl(["get", "pods", &format!("--selector={services}"), "--output=name"])?;
        ensure!(pods.is_empty(), "there are {pods}");
        Ok(())
    })
}

/// Makes a Job of a `CronJob`, and waits until it is complete.
fn run(stage: &Stage, job: &str, cron_job: &str) -> Result<()> {
    make(stage, job, cron_job)?;
    until(&format!("the Job {job} is complete"), LIMIT, || {
        let found = stage.kubectl_json(["get", "job", job])?;
        let is = |kind: &str| condition(&found, kind).is_ok_and(|condition| condition["status"] == "True");
        ensure!(is("Complete") || is("Failed") || found["status"]["failed"].as_u64() > Some(1), "it runs");
        Ok(())
    })?;
    let found = stage.kubectl_json(["get", "job", job])?;
    let logs = stage.kubectl(["logs", &format!("job/{job}"), "--tail=5"]).unwrap_or_default();
    ensure!(found["status"]["succeeded"] == 1, "the Job {job} has failed: {logs}");
    Ok(())
}

fn make(stage: &Stage, job: &str, name: &str) -> Result<()> {
    stage.kubectl(["delete", "job", job, "--ignore-not-found"])?;
    let from = format!("--from=cronjob/{}", cron_job(stage, name));
    stage.kubectl(["create", "job", job, &from]).map(drop)
}

fn cron_job(stage: &Stage, name: &str) -> String {
    format!("{}-{name}", stage.platform)
}

/// A Secret of the platform's as a person keeps it: without what is of the cluster that it was in.
fn saved(stage: &Stage, name: &str) -> Result<Value> {
    let mut secret = stage.kubectl_json(["get", "secret", &format!("{}-{name}", stage.platform)])?;
    let metadata = secret["metadata"].as_object_mut().context("a Secret has no metadata")?;
    for field in ["uid", "resourceVersion", "creationTimestamp", "ownerReferences", "managedFields"] {
        metadata.remove(field);
    }
    Ok(secret)
}

/// An S3 store beside the platform, with a bucket, and the Secret with its account.
fn store() -> Value {
    let labels = json!({"app": STORE});
    let program = format!("mkdir -p /data/{BUCKET} && exec versitygw --port :7070 --health /health posix /data");
    let container = json!({
        "name": "versitygw",
        "image": "docker.io/versity/versitygw:v1.8.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", program],
        "env": [{"name": "ROOT_ACCESS_KEY", "value": ID}, {"name": "ROOT_SECRET_KEY", "value": SECRET}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 7070}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": STORE},
            "stringData": {"accessKeyId": ID, "secretAccessKey": SECRET},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": STORE},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": STORE},
            "spec": {"selector": labels, "ports": [{"port": 7070}]},
        },
    ]})
}

/// Takes the store away when dropped, however the scenario ended, and has the platform make no backups any more.
struct Gone<'a>(&'a Stage);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.0.change(&json!({}));
        let _ = self.0.kubectl(["delete", "deployment,service", STORE, "--ignore-not-found", "--wait=false"]);
        let _ = self.0.kubectl([
            "delete",
            "job",
            "backup-now",
            "restore",
            "restore-again",
            "--ignore-not-found",
            "--wait=false",
        ]);
        // The document must not name it any more.
        let _ = self.0.wait_until_observed();
        let _ = self.0.kubectl(["delete", "secret", STORE, "--ignore-not-found"]);
    }
}
