//! How much of a platform runs that is in hibernation, or on its way there: the edge and the services stop first, so that the servers
//! lose nobody in the middle of a request.

use kube::ResourceExt as _;

use crate::api::ChatPlatform;
use crate::build::{Component, labels};
use crate::observe::Observed;

/// How much of a platform runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Hibernation {
    /// Everything.
    #[default]
    Awake,
    /// The servers that hold data, until the edge and the services have stopped.
    Closing,
    /// Nothing.
    Asleep,
}

impl Hibernation {
    /// What comes next for a document, as far as things are.
    pub(super) fn of(document: &ChatPlatform, observed: &Observed) -> Self {
        if !document.spec.hibernated {
            return Self::Awake;
        }
        // Who has begun does not start servers again because of a pod that somebody has made by hand.
        let has_begun =
            observed.stateful_sets.iter().any(|set| set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0)));
        let told = observed
            .deployments
            .iter()
            .all(|deployment| deployment.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0)));
        // Those that are about to end use the servers as well.
        let left = observed.pods.iter().any(|pod| {
            let component = pod.labels().get(labels::NAME).and_then(|name| Component::from_name(name));
            component.is_some_and(|component| !component.holds_data())
        });
        if has_begun || (told && !left) { Self::Asleep } else { Self::Closing }
    }

    /// Whether a component runs.
    #[must_use]
    pub fn runs(self, component: Component) -> bool {
        match self {
            Self::Awake => true,
            Self::Closing => component.holds_data(),
            Self::Asleep => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::build::build;
    use crate::build::properties::platform;

    fn document(hibernated: bool) -> ChatPlatform {
        serde_json::from_value(json!({
            "apiVersion": "chatplatform.dev/v1alpha1",
            "kind": "ChatPlatform",
            "metadata": {"name": "acme", "namespace": "team", "uid": "u-1"},
            "spec": {"host": "a.example", "hibernated": hibernated},
        }))
        .unwrap()
    }

    fn pod(component: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "labels": {labels::NAME: component}}})).unwrap()
    }

    /// A platform that runs.
    fn running() -> Observed {
        let resources = build(&platform("acme", &json!({"host": "a.example"})));
        Observed {
            stateful_sets: resources.stateful_sets,
            deployments: resources.deployments,
            pods: vec![pod("mongodb"), pod("chat")],
            ..Observed::default()
        }
    }

    fn stop_deployments(observed: &mut Observed) {
        for deployment in &mut observed.deployments {
            deployment.spec.as_mut().unwrap().replicas = Some(0);
        }
    }

    #[test]
    fn servers_stop_only_once_the_last_pod_of_the_services_is_gone() {
        let mut observed = running();
        assert_eq!(Hibernation::of(&document(false), &observed), Hibernation::Awake);
        assert_eq!(Hibernation::of(&document(true), &observed), Hibernation::Closing);
        stop_deployments(&mut observed);
        assert_eq!(Hibernation::of(&document(true), &observed), Hibernation::Closing, "a pod drains");
        observed.pods = vec![pod("mongodb")];
        assert_eq!(Hibernation::of(&document(true), &observed), Hibernation::Asleep);
    }

    #[test]
    fn a_deployment_that_was_not_told_yet_keeps_the_servers() {
        let observed = Observed { pods: vec![], ..running() };
        assert_eq!(Hibernation::of(&document(true), &observed), Hibernation::Closing);
    }

    #[test]
    fn a_pod_made_by_hand_wakes_no_server() {
        let mut observed = running();
        observed.stateful_sets[0].spec.as_mut().unwrap().replicas = Some(0);
        assert_eq!(Hibernation::of(&document(true), &observed), Hibernation::Asleep);
    }

    #[test]
    fn a_new_platform_that_is_to_sleep_never_wakes() {
        assert_eq!(Hibernation::of(&document(true), &Observed::default()), Hibernation::Asleep);
    }

    #[test]
    fn while_it_closes_the_servers_alone_run() {
        for component in Component::ALL {
            assert!(Hibernation::Awake.runs(component) && !Hibernation::Asleep.runs(component));
            assert_eq!(Hibernation::Closing.runs(component), component.holds_data());
        }
    }
}
