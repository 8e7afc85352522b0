//! `cargo e2e status`, `logs`, `url` and `kubeconfig`: what runs and what it says.

use std::fs;
use std::io::{ErrorKind, Write as _};

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
    print(&format!("cache       {}", cache.root().display()))?;
    let names = cluster::names(&cache);
    if names.is_empty() {
        return print("clusters    none: `cargo e2e up` brings one up");
    }
    for name in names {
        match Cluster::existing(&name)? {
            Some(cluster) => print(&describe(&cluster)?)?,
            None => print(&format!(
                "cluster     {name}: being made, half made, or stopped; `cargo e2e up --cluster {name}` brings it up"
            ))?,
        }
    }
    Ok(())
}

fn describe(cluster: &Cluster) -> Result<String> {
    let docker = cluster.engine().docker.host().map(|host| format!("docker      export DOCKER_HOST={host}\n"));
    let platforms = cluster.kubectl(["get", RESOURCE, "--all-namespaces", "--output", "wide"]);
    let selector = "app.kubernetes.io/part-of=chatplatform";
    Ok(format!(
        "\ncluster     {}\n{}kubectl     export KUBECONFIG={}\nurl         {}\n\n{}\n\n{}\n\n{}",
        cluster.name(),
        docker.unwrap_or_default(),
        cluster.kubeconfig().display(),
        cluster.url(),
        cluster.kubectl(["get", "nodes"])?,
        platforms.unwrap_or_else(|_| "the operator is not installed".to_owned()),
        cluster.kubectl(["get", "pods", "--all-namespaces", "--selector", selector, "--output", "wide"])?,
    ))
}

/// Prints what a component says, or the log of a step of `up`.
pub fn logs(cluster_name: &str, name: &str) -> Result<()> {
    let cache = Cache::open()?;
    let step = cache.logs().join(crate::progress::file_name(name));
    if step.exists() {
        return print(&fs::read_to_string(&step).with_context(|| format!("cannot read {}", step.display()))?);
    }
    let cluster = cluster(cluster_name)?;
    let pods = cluster.kubectl_json(["get", "pods", "--all-namespaces"])?;
    let found = pods_of(&pods, name);
    if found.is_empty() {
        bail!("nothing is called {name}; these are: {}", known(&cache, &pods).join(", "));
    }
    for (namespace, pod) in found {
        let arguments = ["logs", "--namespace", &namespace, &pod, "--all-containers", "--tail=200", "--ignore-errors"];
        print(&format!("==> {pod} <==\n{}\n", cluster.kubectl(arguments)?))?;
    }
    Ok(())
}

/// Prints the address of the platform.
pub fn url(name: &str) -> Result<()> {
    print(&cluster(name)?.url())
}

/// Prints the path of the kubeconfig.
pub fn kubeconfig(name: &str) -> Result<()> {
    print(&cluster(name)?.kubeconfig().display().to_string())
}

/// Prints a line. A reader that has seen enough (`| head`) is no fault.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot print"),
        _ => Ok(()),
    }
}

/// Namespace and name of the pods whose component, or whose own name, is `name`; `operator` is the operator.
fn pods_of(pods: &Value, name: &str) -> Vec<(String, String)> {
    items(pods)
        .filter(|pod| {
            let metadata = &pod["metadata"];
            let component = &metadata["labels"]["app.kubernetes.io/name"];
            component == name
                || metadata["name"] == name
                || (name == "operator" && metadata["namespace"] == OPERATOR_NAMESPACE)
        })
        .map(|pod| (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"])))
        .collect()
}

fn known(cache: &Cache, pods: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        items(pods).map(|pod| text(&pod["metadata"]["labels"]["app.kubernetes.io/name"])).collect();
    if let Ok(entries) = fs::read_dir(cache.logs()) {
        names.extend(
            entries.flatten().filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".log")?.to_owned())),
        );
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
