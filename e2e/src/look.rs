//! `cargo e2e status`, `logs`, `url` and `kubeconfig`: what runs and what it says.

use std::fs;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use crate::cache::Cache;
use crate::cluster::{self, Cluster};
use crate::platform::{OPERATOR_NAMESPACE, RESOURCE};

/// The cluster `name`, or a sentence that says how to get one.
pub fn cluster(name: &str) -> Result<Cluster> {
    Cluster::existing(name)?.ok_or_else(|| anyhow!("no cluster {name} runs here: `cargo e2e up` brings one up"))
}

/// Prints daemon, clusters, nodes, platforms and pods.
pub fn status() -> Result<()> {
    let cache = Cache::open()?;
    println!("cache       {}", cache.root().display());
    let names = cluster::names(&cache);
    if names.is_empty() {
        println!("clusters    none: `cargo e2e up` brings one up");
        return Ok(());
    }
    for name in names {
        let Some(cluster) = Cluster::existing(&name)? else {
            println!("cluster     {name}: being made, half made, or stopped; `cargo e2e up` brings it up");
            continue;
        };
        println!("cluster     {name}");
        if let Some(host) = cluster.engine().docker.host() {
            println!("docker      export DOCKER_HOST={host}");
        }
        println!("kubectl     export KUBECONFIG={}", cluster.kubeconfig().display());
        println!("url         {}\n", cluster.url());
        println!("{}\n", cluster.kubectl(["get", "nodes"])?);
        match cluster.kubectl(["get", RESOURCE, "--all-namespaces", "--output", "wide"]) {
            Ok(platforms) => println!("{platforms}\n"),
            Err(_) => println!("the operator is not installed\n"),
        }
        let selector = "app.kubernetes.io/part-of=chatplatform";
        println!("{}", cluster.kubectl(["get", "pods", "--all-namespaces", "--selector", selector, "--output", "wide"])?);
    }
    Ok(())
}

/// Prints what a component says, or the log of a step of `up`.
pub fn logs(cluster_name: &str, name: &str) -> Result<()> {
    let cache = Cache::open()?;
    let step = cache.logs().join(crate::progress::file_name(name));
    if step.exists() {
        print!("{}", fs::read_to_string(&step).with_context(|| format!("cannot read {}", step.display()))?);
        return Ok(());
    }
    let cluster = cluster(cluster_name)?;
    let pods = cluster.kubectl_json(["get", "pods", "--all-namespaces"])?;
    let found = pods_of(&pods, name);
    if found.is_empty() {
        bail!("nothing is called {name}: {}", known(&cache, &pods).join(", "));
    }
    for (namespace, pod) in found {
        println!("==> {pod} <==");
        let arguments = ["logs", "--namespace", &namespace, &pod, "--all-containers", "--tail=200", "--ignore-errors"];
        println!("{}\n", cluster.kubectl(arguments)?);
    }
    Ok(())
}

/// Prints the address of the platform.
pub fn url(name: &str) -> Result<()> {
    println!("{}", cluster(name)?.url());
    Ok(())
}

/// Prints the path of the kubeconfig.
pub fn kubeconfig(name: &str) -> Result<()> {
    println!("{}", cluster(name)?.kubeconfig().display());
    Ok(())
}

/// Namespace and name of the pods whose component, or whose own name, is `name`; `operator` is the operator.
fn pods_of(pods: &Value, name: &str) -> Vec<(String, String)> {
    items(pods)
        .filter(|pod| {
            let metadata = &pod["metadata"];
            let component = &metadata["labels"]["app.kubernetes.io/name"];
            component == name || metadata["name"] == name || (name == "operator" && metadata["namespace"] == OPERATOR_NAMESPACE)
        })
        .map(|pod| (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"])))
        .collect()
}

fn known(cache: &Cache, pods: &Value) -> Vec<String> {
    let mut names: Vec<String> = items(pods).map(|pod| text(&pod["metadata"]["labels"]["app.kubernetes.io/name"])).collect();
    if let Ok(entries) = fs::read_dir(cache.logs()) {
        names.extend(entries.flatten().filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".log")?.to_owned())));
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_component_is_found_by_its_label_and_the_operator_by_its_namespace() {
        let pods = json!({"items": [
            {"metadata": {"namespace": "default", "name": "acme-chat-x", "labels": {"app.kubernetes.io/name": "chat"}}},
            {"metadata": {"namespace": OPERATOR_NAMESPACE, "name": "op-y", "labels": {}}},
        ]});
        assert_eq!(pods_of(&pods, "chat"), [("default".to_owned(), "acme-chat-x".to_owned())]);
        assert_eq!(pods_of(&pods, "operator"), [(OPERATOR_NAMESPACE.to_owned(), "op-y".to_owned())]);
        assert!(pods_of(&pods, "hat").is_empty());
    }
}
