//! What makes backups by a schedule, and what restores one: two `CronJob`s, of which the second never runs by itself. It is there so that a
//! person makes a Job of it (`kubectl create job --from=cronjob/<platform>-restore`).

use k8s_openapi::api::core::v1::{
    Container, EnvVar, KeyToPath, PodSpec, PodTemplateSpec, ProjectedVolumeSource, ResourceRequirements,
    SecretProjection, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::json;

use super::component::Component;
use super::container::{container, env, mount_read_only};
use super::optional::Optional;
use super::workload::pull_secrets;
use super::{images, labels, security, volume};
use crate::secrets::{BACKUP, Names};
use crate::validate::{Backup, Hibernation, Platform};

/// What follows the platform's name in the name of what restores a backup.
pub const RESTORE: &str = "restore";
/// What makes a backup, as its label says.
pub const RUN: &str = "run";

/// The folder of all that is secret.
const SECRETS: &str = "/etc/chatplatform/secrets";
/// Where a container leaves its last words for the kubelet (`terminationMessagePath`).
const LAST_WORDS: &str = "/dev/termination-log";
/// The 31st of February.
const NEVER: &str = "0 0 31 2 *";
/// How often one is tried again, after pauses of 10 s, 20 s, 40 s and so on.
const RETRIES: i32 = 4;
/// Longer than the server keeps a moment readable.
const LONGEST_SECONDS: i64 = 12 * 60 * 60;
/// How late a backup may begin, if the cluster was not there in time.
const LATEST_SECONDS: i64 = 60 * 60;
/// Time for a program that is told to stop to take back what it has written.
const GRACE_SECONDS: i64 = 90;
/// Jobs that are kept, for their logs.
const KEPT_GOOD: i32 = 3;
const KEPT_BAD: i32 = 1;

/// What makes backups and restores one, where a document asks for backups.
#[must_use]
pub fn build(platform: &Platform) -> Vec<DynamicObject> {
    let Some(backup) = &platform.backup else { return Vec::new() };
    // Whose server sleeps is not backed up.
    let suspend = backup.suspend || platform.hibernation != Hibernation::Awake;
    let run = cron_job(platform, BACKUP, RUN, (&backup.schedule, suspend), &run(platform, backup));
    let restore = cron_job(platform, RESTORE, RESTORE, (NEVER, true), &restore(platform, backup));
    vec![run, restore]
}

fn cron_job(
    platform: &Platform,
    name: &str,
    errand: &str,
    (schedule, suspend): (&str, bool),
    template: &PodTemplateSpec,
) -> DynamicObject {
    let labels = labels::backup(platform, errand);
    DynamicObject {
        types: Some(Optional::CronJob.types()),
        metadata: labels::metadata_with(platform, name, labels.clone()),
        data: json!({"spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "suspend": suspend,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": LATEST_SECONDS,
            "successfulJobsHistoryLimit": KEPT_GOOD,
            "failedJobsHistoryLimit": KEPT_BAD,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {
                    "backoffLimit": RETRIES,
                    "activeDeadlineSeconds": LONGEST_SECONDS,
                    "template": template,
                },
            },
        }}),
    }
}

/// It reads all databases, by a user that may do nothing else.
fn run(platform: &Platform, backup: &Backup) -> PodTemplateSpec {
    let settings = [
        ("MONGODB__URI_FILE", format!("{SECRETS}/mongodb-uri")),
        ("BACKUP__RETENTION", backup.retention.to_string()),
        ("BACKUP__PLATFORM", format!("{}/{}", platform.names.namespace, platform.names.platform)),
    ];
    template(platform, backup, RUN, settings, volume::secret("secrets", &platform.names.object(BACKUP)))
}

/// It writes each database by the user of the service that owns it.
fn restore(platform: &Platform, backup: &Backup) -> PodTemplateSpec {
    let item = |key: &str, path: &str| KeyToPath { key: key.into(), path: path.into(), mode: None };
    let some_of = |secret: &str, items: Vec<KeyToPath>| VolumeProjection {
        secret: Some(SecretProjection { name: platform.names.object(secret), items: Some(items), optional: None }),
        ..VolumeProjection::default()
    };
    let account = ["s3-access-key-id", "s3-secret-access-key", Names::AUTHORITY].map(|key| item(key, key));
    let databases =
        Component::WITH_DATABASE.map(|service| some_of(service.name(), vec![item("mongodb-uri", service.name())]));
    let sources = [some_of(BACKUP, account.to_vec())].into_iter().chain(databases).collect();
    let secrets = ProjectedVolumeSource { default_mode: Some(volume::MODE), sources: Some(sources) };
    let secrets = Volume { name: "secrets".into(), projected: Some(secrets), ..Volume::default() };
    template(platform, backup, RESTORE, [("RESTORE__URI_FOLDER", SECRETS.to_owned())], secrets)
}

fn template(
    platform: &Platform,
    backup: &Backup,
    command: &str,
    settings: impl IntoIterator<Item = (&'static str, String)>,
    secrets: Volume,
) -> PodTemplateSpec {
    let bucket = &backup.bucket;
    let common = [
        ("OBJECT_STORAGE__ENDPOINT", bucket.endpoint.clone()),
        ("OBJECT_STORAGE__REGION", bucket.region.clone()),
        ("OBJECT_STORAGE__BUCKET", bucket.name.clone()),
        ("OBJECT_STORAGE__PATH_STYLE", bucket.path_style.to_string()),
        ("OBJECT_STORAGE__ACCESS_KEY_ID_FILE", format!("{SECRETS}/s3-access-key-id")),
        ("OBJECT_STORAGE__SECRET_ACCESS_KEY_FILE", format!("{SECRETS}/s3-secret-access-key")),
        ("BACKUP__PREFIX", backup.prefix.clone()),
        ("BACKUP__REPORT_FILE", LAST_WORDS.to_owned()),
    ];
    let settings = common.into_iter().chain(settings);
    let environment: Vec<EnvVar> = settings.map(|(name, value)| env(&format!("CHATPLATFORM_{name}"), value)).collect();
    let program = Container {
        command: Some(vec!["/usr/local/bin/backup".to_owned(), command.to_owned()]),
        env: Some(environment),
        volume_mounts: Some(vec![mount_read_only("secrets", SECRETS)]),
        image: Some(images::backup(platform)),
        ..container(platform, Component::MongoDb, BACKUP, resources())
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels::backup(platform, command)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![program],
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(platform),
            // The log of each attempt is kept as long as the Job.
            restart_policy: Some("Never".into()),
            security_context: Some(security::pod(security::OURS)),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            volumes: Some(vec![secrets]),
            ..PodSpec::default()
        }),
    }
}

/// What it takes to hold two parts of a file and a batch of documents, however large the databases are.
fn resources() -> ResourceRequirements {
    let amount = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
    ResourceRequirements {
        requests: Some([amount("cpu", "50m"), amount("memory", "96Mi")].into()),
        limits: Some([amount("memory", "256Mi")].into()),
        ..ResourceRequirements::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::build::properties::platform;

    fn document(more: &Value) -> Value {
        let mut backup = json!({
            "schedule": "0 3 * * *",
            "objectStorage": {"endpoint": "https://s3.example", "bucket": "backups", "credentialsSecretRef": {"name": "theirs"}},
        });
        json_patch::merge(&mut backup, more);
        json!({"host": "a.example", "backup": backup})
    }

    fn built(spec: &Value) -> Vec<Value> {
        build(&platform("acme", spec)).into_iter().map(|object| json!(object)).collect()
    }

    fn pod(object: &Value) -> &Value {
        &object["spec"]["jobTemplate"]["spec"]["template"]
    }

    /// Secrets of a pod, each with the keys that it is given.
    fn secrets(object: &Value) -> Vec<(String, Vec<String>)> {
        let volume = &pod(object)["spec"]["volumes"][0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let Some(sources) = volume["projected"]["sources"].as_array() else {
            return vec![(text(&volume["secret"]["secretName"]), vec!["*".to_owned()])];
        };
        let keys = |source: &Value| source["items"].as_array().unwrap().iter().map(|item| text(&item["key"])).collect();
        sources.iter().map(|source| (text(&source["secret"]["name"]), keys(&source["secret"]))).collect()
    }

    #[test]
    fn there_is_none_unless_it_is_asked_for() {
        assert_eq!(built(&json!({"host": "a.example"})), Vec::<Value>::new());
    }

    #[test]
    fn backups_are_made_by_the_schedule_and_restored_by_hand_alone() {
        let [run, restore] = &built(&document(&json!({})))[..] else { panic!("there are not two") };
        assert_eq!(
            (&run["metadata"]["name"], &restore["metadata"]["name"]),
            (&json!("acme-backup"), &json!("acme-restore"))
        );
        assert_eq!((&run["spec"]["schedule"], &run["spec"]["suspend"]), (&json!("0 3 * * *"), &json!(false)));
        assert_eq!(restore["spec"]["suspend"], true);
        let suspended = &built(&document(&json!({"suspend": true})))[0];
        assert_eq!(suspended["spec"]["suspend"], true);
        let sleeping = Platform { hibernation: Hibernation::Closing, ..platform("acme", &document(&json!({}))) };
        assert_eq!(build(&sleeping)[0].data["spec"]["suspend"], true, "nobody is there to be backed up");
    }

    #[test]
    fn who_makes_a_backup_may_not_write_and_who_restores_one_has_no_keys() {
        let [run, restore] = &built(&document(&json!({})))[..] else { panic!("there are not two") };
        assert_eq!(secrets(run), [("acme-backup".to_owned(), vec!["*".to_owned()])]);
        let uri = |service: &str| (format!("acme-{service}"), vec!["mongodb-uri".to_owned()]);
        let account = ["s3-access-key-id", "s3-secret-access-key", "ca.crt"].map(str::to_owned).to_vec();
        let wanted = [("acme-backup".to_owned(), account), uri("auth"), uri("chat"), uri("media"), uri("notification")];
        assert_eq!(secrets(restore), wanted);
    }

    #[test]
    fn both_are_restricted_pods_with_resources_that_get_no_requests() {
        let spec = document(&json!({}));
        let services = crate::build::build(&platform("acme", &spec)).services;
        for object in built(&spec) {
            let (labels, spec) = (&pod(&object)["metadata"]["labels"], &pod(&object)["spec"]);
            assert_eq!(spec["securityContext"], json!(security::pod(security::OURS)));
            assert_eq!(spec["containers"][0]["securityContext"], json!(security::container()));
            assert_eq!(spec["automountServiceAccountToken"], false);
            let resources = &spec["containers"][0]["resources"];
            assert!(resources["requests"]["cpu"].is_string() && resources["limits"]["memory"].is_string());
            assert_eq!(spec["containers"][0]["image"], format!("docker.io/chatplatform/backup:{}", crate::VERSION));
            for service in &services {
                let selector = service.spec.as_ref().unwrap().selector.clone().unwrap();
                assert!(selector.iter().any(|(label, value)| labels[label] != *value), "{selector:?}");
            }
        }
    }

    #[test]
    fn two_platforms_do_not_keep_their_backups_in_one_place() {
        let prefix = |spec: &Value| {
            let object = &built(spec)[0];
            let variables = pod(object)["spec"]["containers"][0]["env"].as_array().unwrap().clone();
            let found = variables.iter().find(|variable| variable["name"] == "CHATPLATFORM_BACKUP__PREFIX");
            found.unwrap()["value"].clone()
        };
        assert_eq!(prefix(&document(&json!({}))), "team/acme");
        assert_eq!(prefix(&document(&json!({"objectStorage": {"prefix": "a/b"}}))), "a/b");
    }
}
