//! Between two releases.

use super::*;

/// A platform whose databases are brought to the form of this release.
fn migrating(spec: &Value) -> Platform {
    let upgrade = Some(Upgrade::at("0.0.1", Step::Migrate));
    Platform { upgrade, ..platform("acme", spec) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_job_migrates_each_database_as_a_restricted_pod_that_gets_no_requests_and_has_no_other_secrets(spec in spec()) {
        let resources = build(&migrating(&spec));
        prop_assert_eq!(resources.jobs.len(), 4);
        for job in &resources.jobs {
            let (name, job_spec) = (job.metadata.name.clone().unwrap(), job.spec.clone().unwrap());
            prop_assert!(name.len() + "-0123456789".len() <= 63, "{name}");
            prop_assert!(job_spec.backoff_limit.is_some());
            let template = job_spec.template;
            let labels = template.metadata.clone().unwrap().labels.unwrap();
            let service = labels[labels::COMPONENT].clone();
            prop_assert!(name.starts_with(&format!("acme-{service}-")), "{name}");
            let chosen = resources.services.iter().any(|service| {
                let selector = service.spec.as_ref().unwrap().selector.clone().unwrap();
                selector.iter().all(|(label, value)| labels.get(label) == Some(value))
            });
            prop_assert!(!chosen, "requests are sent to {name}");
            let pod = template.spec.clone().unwrap();
            prop_assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
            prop_assert_eq!(pod.automount_service_account_token, Some(false));
            prop_assert_eq!(pod.security_context.clone().unwrap(), security::pod(security::OURS));
            let secrets: Vec<_> = pod.volumes.iter().flatten()
                .filter_map(|volume| volume.secret.as_ref()?.secret_name.clone()).collect();
            prop_assert_eq!(secrets, [format!("acme-{service}")]);
            for (container, _) in containers(&template) {
                prop_assert_eq!(container.security_context.clone(), Some(security::container()));
                let resources = container.resources.unwrap();
                prop_assert!(resources.requests.unwrap().contains_key("cpu") && resources.limits.unwrap().contains_key("memory"));
                prop_assert_eq!(container.command.unwrap(), [format!("/usr/local/bin/{service}"), "migrate".to_owned()]);
                let volumes: BTreeSet<_> = pod.volumes.iter().flatten().map(|volume| volume.name.clone()).collect();
                let mounted: BTreeSet<_> = container.volume_mounts.unwrap().into_iter().map(|mount| mount.name).collect();
                prop_assert_eq!(volumes, mounted);
            }
        }
    }

    #[test]
    fn until_its_turn_comes_a_component_is_built_as_it_was_in_the_release_before(spec in spec(), turn in 0..5_usize) {
        let release = |platform: &Platform| -> Vec<(String, Value)> {
            let deployments = build(platform).deployments.into_iter();
            deployments.map(|deployment| {
                (deployment.metadata.annotations.unwrap()[labels::RELEASE].clone(), json!(deployment.spec.unwrap().template))
            }).collect()
        };
        let new = platform("acme", &spec);
        let rolling = Platform { upgrade: Some(Upgrade::at("0.0.1", Step::Roll(turn))), ..new.clone() };
        let old = Platform { version: "0.0.1".to_owned(), ..new.clone() };
        for ((old, new), now) in release(&old).into_iter().zip(release(&new)).zip(release(&rolling)) {
            prop_assert!(now == old || now == new, "{now:?}");
        }
        let changed = release(&rolling).into_iter().filter(|(release, _)| release == crate::VERSION).count();
        prop_assert_eq!(changed, [1, 4, 5, 6, 7][turn]);
        prop_assert!(build(&rolling).jobs.is_empty());
    }

    #[test]
    fn the_release_of_the_operator_is_in_no_object_of_a_platform_that_has_another(spec in spec()) {
        let old = Platform { version: "0.0.1".to_owned(), ..platform("acme", &spec) };
        for object in objects(&build(&old)) {
            // Keys and certificates are random.
            if object["kind"] != "Secret" && object["kind"] != "ConfigMap" {
                prop_assert!(!object.to_string().contains(crate::VERSION), "{object}");
            }
        }
    }
}

#[test]
fn a_job_that_is_to_be_otherwise_has_another_name_since_its_pods_cannot_change() {
    let names =
        |spec: Value| build(&migrating(&spec)).jobs.into_iter().filter_map(|job| job.metadata.name).collect::<Vec<_>>();
    let before = names(json!({"host": "a.example"}));
    assert_eq!(before, names(json!({"host": "b.example"})), "the host is nothing to a database");
    let elsewhere = names(json!({"host": "a.example", "images": {"registry": "mirror.example"}}));
    assert!(before.iter().all(|name| !elsewhere.contains(name)), "{before:?} {elsewhere:?}");
}
