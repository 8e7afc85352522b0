//! A renewed certificate and another key ring, brought to the pods that read them without waiting.
//!
//! The kubelet looks at a mounted Secret when it looks at the pod, which it does about once a minute, or at once when the pod changes. So
//! an annotation tells each pod what is due. The pods are not restarted by that, and read the file anew by themselves.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Applier, Error, refused};
use crate::FIELD_MANAGER;
use crate::build::{Component, workload};
use crate::observe::Observed;
use crate::secrets::EDGE_TLS;
use crate::secrets::rotation::{Kind, Ring as _};
use crate::validate::Platform;

/// Annotation of the edge's pods: a digest of the certificate that they shall show.
const CERTIFICATE_DIGEST: &str = "chatplatform.dev/certificate-digest";

/// What the pods of a component are to be told.
#[derive(Debug)]
struct Notice {
    component: Component,
    annotation: &'static str,
    digest: String,
}

/// Tells pods of what is there and that they have not been told of.
///
/// What was only just written may not have come to the kubelets yet, and is told of in the next round, which is near, as its being written
/// is a change.
pub(super) async fn announce(to: &Applier<'_>, observed: &Observed) -> Result<(), Error> {
    for Notice { component, annotation, digest } in notices(to.platform, observed) {
        for pod in observed.pods_of(component).filter(|pod| is_behind(pod, annotation, &digest)) {
            let name = pod.name_any();
            tracing::info!(name, namespace = to.platform.names.namespace, annotation, "telling of what has changed");
            let patch = json!({"metadata": {"annotations": {annotation: digest}}});
            match to.api::<Pod>().patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&patch)).await {
                Ok(_) => {}
                // Its successor mounts what is there.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(refused("annotate", "Pod", &name)(error)),
            }
        }
    }
    Ok(())
}

fn notices(platform: &Platform, observed: &Observed) -> Vec<Notice> {
    let pem = platform.material.edge.pem();
    let mut notices = Vec::new();
    if has(&observed.secrets, &platform.names.object(EDGE_TLS), "tls.crt", pem) {
        let digest = workload::digest([pem]);
        notices.push(Notice { component: Component::Edge, annotation: CERTIFICATE_DIGEST, digest });
    }
    for rotation in platform.rotation.iter().filter(|rotation| rotation.state.step.is_some()) {
        let kind = rotation.kind;
        for component in kind.readers() {
            if let Some(digest) = ring(kind, *component, platform, observed) {
                notices.push(Notice { component: *component, annotation: annotation(kind), digest });
            }
        }
    }
    notices
}

/// Annotation of the pods that read a ring: a digest of its ids, or the generation that is used.
fn annotation(kind: Kind) -> &'static str {
    match kind {
        Kind::SigningKeys => "chatplatform.dev/signing-keys-digest",
        Kind::MessageKeys => "chatplatform.dev/message-keys-digest",
        Kind::Credentials => "chatplatform.dev/credentials",
    }
}

/// A digest of the ids of a ring, if all that a component reads of it is there.
fn ring(kind: Kind, component: Component, platform: &Platform, observed: &Observed) -> Option<String> {
    let (names, material) = (&platform.names, &platform.material);
    let (text, ids, current) = match kind {
        Kind::SigningKeys => {
            let jwks = names.object("jwks");
            let published = observed.config_maps.iter().find(|files| files.name_any() == jwks);
            published.filter(|files| is_published(files, &material.jwks()))?;
            let ring = &material.signing_keys;
            (ring.text(), ring.ids(), ring.current())
        }
        Kind::MessageKeys => {
            let ring = &material.message_keys;
            (ring.text(), ring.ids(), ring.current())
        }
        Kind::Credentials => {
            // A service has those in use alone, in a Secret of its own.
            let current = material.credentials.current();
            let is_there = has(&observed.secrets, &names.object(component.name()), kind.object(), current);
            return is_there.then(|| current.to_owned());
        }
    };
    let is_there = has(&observed.secrets, &names.object(kind.object()), "keys.json", text);
    is_there.then(|| workload::digest([current].into_iter().chain(ids)))
}

fn is_published(files: &ConfigMap, jwks: &str) -> bool {
    files.data.as_ref().and_then(|data| data.get("jwks.json")).is_some_and(|text| text == jwks)
}

fn has(secrets: &[Secret], name: &str, key: &str, text: &str) -> bool {
    let data = secrets.iter().find(|secret| secret.name_any() == name).and_then(|secret| secret.data.as_ref());
    data.and_then(|data| data.get(key)).is_some_and(|value| value.0 == text.as_bytes())
}

fn is_behind(pod: &Pod, annotation: &str, digest: &str) -> bool {
    pod.metadata.deletion_timestamp.is_none() && pod.annotations().get(annotation).is_none_or(|told| told != digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::build::properties::platform;
    use crate::secrets::rotation::{Step, StepName};

    #[test]
    fn a_pod_is_told_once_of_each_certificate_and_not_while_it_goes() {
        let pod = |metadata| serde_json::from_value::<Pod>(json!({ "metadata": metadata })).unwrap();
        let is_behind = |pod: &Pod| is_behind(pod, CERTIFICATE_DIGEST, "new");
        assert!(is_behind(&pod(json!({}))));
        assert!(is_behind(&pod(json!({"annotations": {CERTIFICATE_DIGEST: "old"}}))));
        assert!(!is_behind(&pod(json!({"annotations": {CERTIFICATE_DIGEST: "new"}}))));
        assert!(!is_behind(&pod(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}))));
    }

    #[test]
    fn pods_are_told_only_of_what_the_cluster_has_and_of_rings_only_while_they_rotate() {
        let mut platform = platform("acme", &json!({"host": "a.example"}));
        let resources = crate::build::build(&platform);
        let mut observed = Observed { secrets: resources.secrets, ..Observed::default() };
        let told = |platform: &Platform, observed: &Observed| -> Vec<Component> {
            notices(platform, observed).into_iter().map(|notice| notice.component).collect()
        };
        assert_eq!(told(&platform, &observed), [Component::Edge]);
        assert_eq!(told(&platform, &Observed::default()), []);

        let since = jiff::Timestamp::UNIX_EPOCH;
        for rotation in &mut platform.rotation {
            rotation.state.step = Some(Step { name: StepName::Spread, key: "k".into(), since });
        }
        // The public keys are not there yet.
        let services =
            [Component::Gateway, Component::Auth, Component::Chat, Component::Media, Component::Notification];
        assert_eq!(told(&platform, &observed), [&[Component::Edge, Component::Chat][..], &services].concat());
        observed.config_maps = resources.config_maps;
        let all = [&[Component::Edge][..], &services, &[Component::Chat], &services].concat();
        assert_eq!(told(&platform, &observed), all);
        // A ring that has changed and was not written yet.
        platform.material.message_keys = platform.material.message_keys.with_one_more(&mut rand::rng()).0;
        assert_eq!(told(&platform, &observed).len(), all.len() - 1);
    }
}
