//! Routes between the nodes' pod networks. On a normal machine kindnet keeps them; it is not to be had as a package, so
//! they are set here after a cluster was made and after its nodes were started again.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Cluster;
use crate::progress::Log;

/// A node as the routes need it.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: String,
    address: String,
    pods: String,
}

/// Sets every route of every node.
pub(super) fn set(cluster: &Cluster, log: &Log) -> Result<()> {
    let listed = cluster.kubectl_json(["get", "nodes"])?;
    let nodes = nodes(&listed).context("a node has no address or pod network yet")?;
    for (node, routes) in routes(&nodes) {
        cluster.docker(["exec", node, "sh", "-c", &routes]).log(log).execute()?;
    }
    Ok(())
}

fn nodes(listed: &Value) -> Option<Vec<Node>> {
    listed["items"]
        .as_array()?
        .iter()
        .map(|node| {
            let addresses = node["status"]["addresses"].as_array()?;
            let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
            Some(Node {
                name: node["metadata"]["name"].as_str()?.to_owned(),
                address: internal["address"].as_str()?.to_owned(),
                pods: node["spec"]["podCIDR"].as_str()?.to_owned(),
            })
        })
        .collect()
}

/// For each node the shell commands that lead to the pods of all others.
fn routes(nodes: &[Node]) -> Vec<(&str, String)> {
    nodes
        .iter()
        .map(|node| {
            let commands: Vec<String> = nodes
                .iter()
                .filter(|other| *other != node)
                .map(|other| format!("ip route replace {} via {}", other.pods, other.address))
                .collect();
            (node.name.as_str(), commands.join(" && "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn node(name: &str, number: u8) -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {"podCIDR": format!("10.244.{number}.0/24")},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": format!("172.18.0.{number}")}]},
        })
    }

    #[test]
    fn every_node_reaches_the_pods_of_all_others_and_not_its_own() {
        let nodes = nodes(&json!({"items": [node("a", 1), node("b", 2), node("c", 3)]})).unwrap();
        let routes = routes(&nodes);
        assert_eq!(
            routes[0].1,
            "ip route replace 10.244.2.0/24 via 172.18.0.2 && ip route replace 10.244.3.0/24 via 172.18.0.3"
        );
        assert_eq!(routes.len(), 3);
    }

    #[test]
    fn a_node_without_a_pod_network_is_not_skipped() {
        let mut late = node("b", 2);
        late["spec"] = json!({});
        assert!(nodes(&json!({"items": [node("a", 1), late]})).is_none());
    }
}
