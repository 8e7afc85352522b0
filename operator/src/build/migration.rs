//! The Jobs that bring databases to the form of a release, one for each service that has a database, before anything else of it runs.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use kube::api::ObjectMeta;
use serde_json::json;

use super::component::Component;
use super::container::container;
use super::service::Shape;
use super::workload::{digest, pull_secrets};
use super::{images, labels, overrides, security};
use crate::validate::{Platform, Step, Upgrade, Workload};

/// What follows the platform's name in the name of the policy of these pods.
pub const NAME: &str = "migration";

/// How often one is tried again, after pauses of 10 s, 20 s, 40 s and so on: an election, or a node that goes, takes less than all of them.
const RETRIES: i32 = 4;
/// Time for a program that is told to stop to give its lease back, in seconds.
const GRACE_SECONDS: i64 = 30;

/// The Jobs of an upgrade whose turn it is; none else.
#[must_use]
pub fn build(platform: &Platform) -> Vec<Job> {
    let is_turn = matches!(platform.upgrade, Some(Upgrade { step: Step::Migrate, .. }));
    let services = Component::WITH_DATABASE.into_iter().filter(|_| is_turn);
    services.filter_map(|service| Some(job(platform, service, platform.workload(service)?))).collect()
}

/// A Job's pods cannot change, so one that is to be otherwise has another name.
fn job(platform: &Platform, service: Component, workload: &Workload) -> Job {
    let template = template(platform, service, workload);
    let form = &digest([json!(template).to_string().as_str()])[..6];
    let name = format!("{}-{form}", service.name());
    Job {
        metadata: labels::metadata_with(platform, &name, labels::migration(platform, service)),
        spec: Some(JobSpec { backoff_limit: Some(RETRIES), template, ..JobSpec::default() }),
        status: None,
    }
}

fn template(platform: &Platform, service: Component, workload: &Workload) -> PodTemplateSpec {
    let (env, mounts, volumes) = Shape::bare(platform, service, workload).mongodb().surroundings();
    let program = Container {
        command: Some(vec![format!("/usr/local/bin/{}", service.name()), "migrate".to_owned()]),
        env: Some(env),
        volume_mounts: Some(mounts),
        image: Some(images::of_release(platform, service, &platform.version)),
        ..container(platform, service, service.name(), workload.resources.clone())
    };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels::migration(platform, service)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![program],
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(platform),
            // The log of each attempt is kept as long as the Job.
            restart_policy: Some("Never".into()),
            security_context: Some(security::pod(security::OURS)),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    };
    overrides::over(template, &workload.pods, &labels::migrating_pods(platform))
}
