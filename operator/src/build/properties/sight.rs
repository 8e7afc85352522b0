//! What there is of a platform, read without regard to its kind.

use super::*;

/// Every object with its metadata, by JSON, as its kind does not matter.
pub(super) fn objects(resources: &Resources<Prepared>) -> Vec<Value> {
    // Without `..`, so that no kind is forgotten here either.
    let Resources {
        secrets,
        config_maps,
        services,
        stateful_sets,
        jobs,
        deployments,
        autoscalers,
        disruption_budgets,
        network_policies,
        certificates,
        ingresses,
        http_routes,
        pod_monitors,
        cron_jobs,
        state: _,
    } = resources;
    let values = |list: Value| list.as_array().unwrap().clone();
    [
        json!(secrets),
        json!(config_maps),
        json!(services),
        json!(stateful_sets),
        json!(jobs),
        json!(deployments),
        json!(autoscalers),
        json!(disruption_budgets),
        json!(network_policies),
        json!(certificates),
        json!(ingresses),
        json!(http_routes),
        json!(pod_monitors),
        json!(cron_jobs),
    ]
    .into_iter()
    .flat_map(values)
    .collect()
}

/// Every pod template with the selector of who makes it and the volumes that are claimed for it.
pub(in crate::build) fn templates(
    resources: &Resources<Prepared>,
) -> Vec<(LabelSelector, PodTemplateSpec, Vec<String>)> {
    let sets = resources.stateful_sets.iter().map(|set| {
        let spec = set.spec.clone().unwrap();
        let claims =
            spec.volume_claim_templates.into_iter().flatten().filter_map(|claim| claim.metadata.name).collect();
        (spec.selector, spec.template, claims)
    });
    let deployments = resources.deployments.iter().map(|deployment| {
        let spec = deployment.spec.clone().unwrap();
        (spec.selector, spec.template, vec![])
    });
    sets.chain(deployments).collect()
}

/// How long a server goes on taking connections once it is told to stop, and how long it then lets requests end: of a service by its
/// environment, of an Nginx by its files.
pub(super) fn times(resources: &Resources<Prepared>, component: &str, container: &Container) -> (i64, i64) {
    let variable = |name: &str| {
        let name = format!("CHATPLATFORM_SERVER__{name}_SECONDS");
        let mut found = container.env.iter().flatten().filter(|variable| variable.name == name);
        found.find_map(|variable| variable.value.as_ref()?.parse().ok())
    };
    if let (Some(settle), Some(drain)) = (variable("SETTLE"), variable("DRAIN")) {
        return (settle, drain);
    }
    assert_eq!(container.command.as_ref().unwrap(), &["sh", "/etc/nginx-config/serve.sh"]);
    let name = Some(format!("acme-{component}"));
    let files = resources.config_maps.iter().find(|files| files.metadata.name == name).unwrap().data.as_ref().unwrap();
    let number = |file: &str, before: &str| {
        let digits = files[file].split(before).nth(1).unwrap().chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap()
    };
    (number("serve.sh", "sleep "), number("nginx.conf", "worker_shutdown_timeout "))
}

pub(in crate::build) fn containers(template: &PodTemplateSpec) -> Vec<(Container, bool)> {
    let pod = template.spec.clone().unwrap();
    let init = pod.init_containers.into_iter().flatten().map(|container| (container, true));
    init.chain(pod.containers.into_iter().map(|container| (container, false))).collect()
}
