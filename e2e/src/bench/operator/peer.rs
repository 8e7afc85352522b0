//! `MongoDB`'s own operator, built from its Go module and run as a pod of the cluster like ours.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::subject::{self, PEER, PEERS, PEERS_OWN};
use crate::cluster::Cluster;
use crate::images;
use crate::offline::go::{self, Tool};
use crate::progress::Progress;
use crate::scenarios::wait::until;

/// The last release that is a Go module which builds.
const TOOL: Tool = Tool {
    name: "mongodb-kubernetes-operator",
    module: "github.com/mongodb/mongodb-kubernetes-operator",
    version: "v0.9.0",
    package: "/cmd/manager",
};
/// The definition of its resource, in the module.
const DEFINITION: &str = "config/crd/bases/mongodbcommunity.mongodb.com_mongodbcommunity.yaml";
/// Where the program lies on the node.
const PLACE: &str = "/opt/bench-peer";
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Builds it and prepares the cluster for it.
pub(super) fn prepare(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let program = go::ensure(cluster.cache(), progress, &TOOL)?;
    let definition = go::module_directory(&TOOL)?.join(DEFINITION);
    let definition =
        fs::read_to_string(&definition).with_context(|| format!("cannot read {}", definition.display()))?;
    cluster.apply(&definition)?;
    let node = node(cluster)?;
    cluster.docker(["cp"]).arg(program).arg(format!("{node}:{PLACE}")).execute()?;
    subject::prepare_peers(cluster)?;
    cluster.apply(&rights().to_string()).map(drop)
}

/// Starts it and waits until it runs.
pub(super) fn start(cluster: &Cluster) -> Result<()> {
    // An image that is there already, of which nothing is used.
    let image = images::name_of("operator");
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let container = json!({
        "name": PEER.container,
        "image": image,
        "imagePullPolicy": "Never",
        "command": [PLACE],
        // What it wants to be told; nothing is pulled, as no pod is made.
        "env": [
            variable("WATCH_NAMESPACE", PEERS),
            variable("AGENT_IMAGE", "quay.io/mongodb/mongodb-agent:107.0.0.8465-1"),
            variable("VERSION_UPGRADE_HOOK_IMAGE", "quay.io/mongodb/mongodb-kubernetes-operator-version-upgrade-post-start-hook:1.0.8"),
            variable("READINESS_PROBE_IMAGE", "quay.io/mongodb/mongodb-kubernetes-readinessprobe:1.0.17"),
            variable("MONGODB_IMAGE", "mongodb-community-server"),
            variable("MONGODB_REPO_URL", "quay.io/mongodb"),
        ],
        "readinessProbe": {"httpGet": {"path": "/metrics", "port": PEER.port}, "periodSeconds": 1},
        "volumeMounts": [{"name": "program", "mountPath": PLACE, "readOnly": true}],
    });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bench-peer", "namespace": PEERS_OWN, "labels": {"app": "bench-peer"}},
        "spec": {
            "nodeName": node(cluster)?,
            "serviceAccountName": "bench-peer",
            "containers": [container],
            "volumes": [{"name": "program", "hostPath": {"path": PLACE, "type": "File"}}],
        },
    });
    cluster.apply(&pod.to_string())?;
    until("the peer runs", READY_WITHIN, || subject::pod(cluster, &PEER).map(drop))
}

/// Rights to everything: what it may do is not compared.
fn rights() -> serde_json::Value {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "bench-peer", "namespace": PEERS_OWN},
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench-peer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bench-peer", "namespace": PEERS_OWN}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [account, binding]})
}

/// Where pods run.
fn node(cluster: &Cluster) -> Result<String> {
    cluster.nodes()?.into_iter().find(|node| !node.ends_with("control-plane")).context("the cluster has no worker")
}
