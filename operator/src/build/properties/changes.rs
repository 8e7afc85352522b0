//! What a change of the document or of a secret does to what is there.

use super::*;

#[test]
fn in_hibernation_all_is_there_but_pods_and_comes_back_in_the_same_sizes() {
    let spec =
        json!({"host": "a.example", "mongodb": {"members": 3}, "redis": {"replicas": 3}, "gateway": {"replicas": 2}});
    let awake = platform("acme", &spec);
    let sleeping = |hibernation| Platform { hibernation, ..awake.clone() };
    let closing = build(&sleeping(Hibernation::Closing));
    let asleep = build(&sleeping(Hibernation::Asleep));
    let replicas = |resources: &Resources<Prepared>| -> (Vec<i32>, Vec<i32>) {
        let sets = resources.stateful_sets.iter().filter_map(|set| set.spec.as_ref()?.replicas);
        let deployments = resources.deployments.iter().filter_map(|deployment| deployment.spec.as_ref()?.replicas);
        (sets.collect(), deployments.collect())
    };
    assert_eq!(replicas(&closing), (vec![3, 3, 1, 1], vec![0; 7]));
    assert_eq!(replicas(&asleep), (vec![0; 4], vec![0; 7]));
    assert!(asleep.disruption_budgets.is_empty(), "nobody is there to be protected");
    assert_eq!(asleep.stateful_sets[0].metadata.annotations.as_ref().unwrap()[workload::AWAKE], "3");
    // What holds data and what opens it stays, so that pods that are back find all of it as it was.
    let before = build(&awake);
    assert_eq!((&asleep.secrets, &asleep.config_maps), (&before.secrets, &before.config_maps));
    assert_eq!((&asleep.services, &asleep.network_policies), (&before.services, &before.network_policies));
    let templates_of =
        |resources| templates(resources).into_iter().map(|(_, template, _)| template).collect::<Vec<_>>();
    assert_eq!(templates_of(&asleep), templates_of(&before));
}

#[test]
fn a_component_of_several_pods_loses_one_at_a_time_and_one_pod_alone_has_no_budget() {
    let spec = json!({
        "host": "a.example",
        "mongodb": {"members": 3},
        "gateway": {"replicas": 2},
        "chat": {"replicas": 2},
        "media": {"autoscaling": {"maxReplicas": 4}},
        "web": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}},
    });
    let budgets = build(&platform("acme", &spec)).disruption_budgets;
    let names: Vec<_> = budgets.iter().filter_map(|budget| budget.metadata.name.as_deref()).collect();
    assert_eq!(names, ["acme-mongodb", "acme-gateway", "acme-chat", "acme-web"]);
    assert!(budgets.iter().all(|budget| json!(budget)["spec"]["maxUnavailable"] == 1));
}

#[test]
fn a_registry_is_put_before_every_image() {
    let resources =
        build(&platform("acme", &json!({"host": "a.example", "images": {"registry": "r.example:5000/m/"}})));
    let images: BTreeSet<String> = templates(&resources)
        .iter()
        .flat_map(|(_, template, _)| containers(template))
        .filter_map(|(container, _)| container.image)
        .collect();
    assert!(images.iter().all(|image| image.starts_with("r.example:5000/m/")), "{images:?}");
    assert!(images.contains(&format!("r.example:5000/m/chatplatform/auth:{}", crate::VERSION)), "{images:?}");
    assert!(images.contains("r.example:5000/m/library/mongo:6.0.5"), "{images:?}");
}

#[test]
fn a_secret_that_services_read_again_does_not_roll_their_pods() {
    let template = |platform: &Platform| {
        let deployments = build(platform).deployments;
        deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_deref() == Some("acme-auth"))
            .unwrap()
            .spec
            .clone()
            .unwrap()
            .template
    };
    let spec = json!({"host": "a.example"});
    // Two platforms with nothing secret in common.
    assert_eq!(template(&platform("acme", &spec)), template(&platform("acme", &spec)));
}

#[test]
fn a_change_of_what_is_read_at_start_alone_rolls_the_pods() {
    let digest = |spec: &Value| {
        let sets = build(&platform("acme", spec)).stateful_sets;
        let template = sets[0].spec.clone().unwrap().template;
        template.metadata.unwrap().annotations.unwrap()[workload::CONFIG_DIGEST].clone()
    };
    // Key files are random, so that two platforms differ.
    assert_ne!(digest(&json!({"host": "a.example"})), digest(&json!({"host": "a.example"})));
}

#[test]
fn another_certificate_does_not_roll_the_edge() {
    let template = |spec: Value| {
        let deployments = build(&platform("acme", &spec)).deployments;
        deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_deref() == Some("acme-edge"))
            .unwrap()
            .spec
            .clone()
            .unwrap()
            .template
    };
    let own = template(json!({"host": "a.example"}));
    // Two of the operator's own, one of the user's, and one of cert-manager's.
    assert_eq!(own, template(json!({"host": "a.example"})));
    assert_eq!(own, template(json!({"host": "a.example", "tls": {"secretName": "own-certificate"}})));
    assert_eq!(own, template(json!({"host": "a.example", "tls": {"issuerRef": {"name": "a"}}})));
}
