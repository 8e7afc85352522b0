//! The configuration that kind makes a cluster from.

use crate::engine::Engine;
use crate::offline::go::COREDNS;

/// The port on the nodes where a platform's edge is exposed.
pub const EDGE_NODE_PORT: u16 = 30443;

/// kind's configuration, as YAML.
pub(super) fn kind(engine: &Engine, edge_port: u16) -> String {
    let offline = engine.offline.is_some();
    let mut text = format!(
        "kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  # One mode everywhere, and the one that needs nothing of the machine but nf_tables.
  kubeProxyMode: nftables
  disableDefaultCNI: {offline}
nodes:
- role: control-plane
  extraPortMappings:
  - {{containerPort: {EDGE_NODE_PORT}, hostPort: {edge_port}, listenAddress: 127.0.0.1}}
- role: worker
- role: worker
"
    );
    let mut kubeadm = String::new();
    if engine.quirks.cgroup_v1 {
        kubeadm.push_str("- |\n  kind: KubeletConfiguration\n  failCgroupV1: false\n");
    }
    if offline {
        // kubeadm would ask for the DNS release of its own day; the image carries its honest tag.
        kubeadm.extend(["- |\n  kind: ClusterConfiguration\n  dns: {imageTag: ", COREDNS.version, "}\n"]);
    }
    if !kubeadm.is_empty() {
        text.push_str("kubeadmConfigPatches:\n");
        text.push_str(&kubeadm);
    }
    if engine.quirks.no_sys_resource {
        text.push_str(
            "containerdConfigPatches:
- |
  [plugins.\"io.containerd.grpc.v1.cri\"]
    restrict_oom_score_adj = true
",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::Value;

    use super::*;
    use crate::docker::Docker;
    use crate::offline::Prepared;
    use crate::quirks::Quirks;

    fn config(offline: bool, quirks: Quirks) -> Value {
        let engine = Engine {
            docker: Docker::of_this_machine("docker".into()),
            kind: "kind".into(),
            helm: "helm".into(),
            offline: offline.then(Prepared::default),
            quirks,
        };
        serde_yaml::from_str(&kind(&engine, 8443)).unwrap()
    }

    #[test]
    fn a_normal_machine_gets_a_plain_cluster() {
        let config = config(false, Quirks::default());
        assert_eq!(config["nodes"].as_array().unwrap().len(), 3);
        assert_eq!(config["nodes"][0]["extraPortMappings"][0]["hostPort"], 8443);
        assert_eq!(config["networking"]["disableDefaultCNI"], false);
        assert!(config.get("kubeadmConfigPatches").is_none());
        assert!(config.get("containerdConfigPatches").is_none());
    }

    #[test]
    fn each_quirk_switches_on_its_own_workaround() {
        let v1 = config(false, Quirks { cgroup_v1: true, ..Quirks::default() });
        assert!(v1["kubeadmConfigPatches"][0].as_str().unwrap().contains("failCgroupV1: false"));
        assert!(v1.get("containerdConfigPatches").is_none());
        let caps = config(false, Quirks { no_sys_resource: true, ..Quirks::default() });
        assert!(caps["containerdConfigPatches"][0].as_str().unwrap().contains("restrict_oom_score_adj = true"));
        assert!(caps.get("kubeadmConfigPatches").is_none());
    }
}
