//! A renewed certificate, brought to the pods of the edge without waiting.
//!
//! The kubelet looks at a mounted Secret when it looks at the pod, which it does about once a minute, or at once when the pod changes. So
//! an annotation tells each pod which certificate is due. The pods are not restarted by that, and read the file at the next handshake.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Applier, Error, refused};
use crate::FIELD_MANAGER;
use crate::build::{Component, workload};
use crate::observe::Observed;
use crate::secrets::EDGE_TLS;

/// Annotation of the edge's pods: a digest of the certificate that they shall show.
const CERTIFICATE_DIGEST: &str = "chatplatform.dev/certificate-digest";

/// Tells the pods of the edge of a certificate that is there and that they have not been told of.
pub(super) async fn announce(to: &Applier<'_>, observed: &Observed) -> Result<(), Error> {
    let pem = to.platform.material.edge.pem();
    // One that was only just written may not have come to the kubelets yet. Its being written is a change, and so the next round is near.
    if !is_there(&observed.secrets, &to.platform.names.object(EDGE_TLS), pem) {
        return Ok(());
    }
    let digest = workload::digest([pem]);
    for pod in observed.pods_of(Component::Edge).filter(|pod| is_behind(pod, &digest)) {
        let name = pod.name_any();
        tracing::info!(name, namespace = to.platform.names.namespace, "telling of the certificate");
        let patch = json!({"metadata": {"annotations": {CERTIFICATE_DIGEST: digest}}});
        match to.api::<Pod>().patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&patch)).await {
            Ok(_) => {}
            // Its successor mounts what is there.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(refused("annotate", "Pod", &name)(error)),
        }
    }
    Ok(())
}

fn is_there(secrets: &[Secret], name: &str, pem: &str) -> bool {
    let data = secrets.iter().find(|secret| secret.name_any() == name).and_then(|secret| secret.data.as_ref());
    data.and_then(|data| data.get("tls.crt")).is_some_and(|value| value.0 == pem.as_bytes())
}

fn is_behind(pod: &Pod, digest: &str) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod.annotations().get(CERTIFICATE_DIGEST).is_none_or(|told| told != digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::build::properties::platform;

    #[test]
    fn a_pod_is_told_once_of_each_certificate_and_not_while_it_goes() {
        let pod = |metadata| serde_json::from_value::<Pod>(json!({ "metadata": metadata })).unwrap();
        assert!(is_behind(&pod(json!({})), "new"));
        assert!(is_behind(&pod(json!({"annotations": {CERTIFICATE_DIGEST: "old"}})), "new"));
        assert!(!is_behind(&pod(json!({"annotations": {CERTIFICATE_DIGEST: "new"}})), "new"));
        assert!(!is_behind(&pod(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})), "new"));
    }

    #[test]
    fn pods_are_told_only_of_a_certificate_that_the_cluster_has() {
        let platform = platform("acme", &json!({"host": "a.example"}));
        let (pem, secrets) = (platform.material.edge.pem(), crate::build::secrets::build(&platform));
        assert!(is_there(&secrets, "acme-edge-tls", pem));
        assert!(!is_there(&secrets, "acme-edge-tls", "another"));
        assert!(!is_there(&[], "acme-edge-tls", pem));
    }
}
