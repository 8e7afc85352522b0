//! What goes wrong on purpose: processes that crash or hang, objects that somebody deletes, an operator that is away.
//!
//! A deleted pod is told to stop and steps down in good order, which proves nothing; a crash is a SIGKILL of the server's process.

use std::time::{Duration, Instant};
use std::{panic, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use super::process::Process;
use super::site::Site;
use super::wait::until;
use crate::platform::OPERATOR_NAMESPACE;

/// How long the operator may take to be gone, or to be back.
const OPERATOR_LIMIT: Duration = Duration::from_mins(1);
/// How long the cluster's name servers may take to be gone.
const NAMES_LIMIT: Duration = Duration::from_mins(1);

/// Kills the main process of a pod's container; answers when.
pub(crate) fn kill(site: &Site, pod: &str, container: &str) -> Result<Instant> {
    Process::of(&site.cluster, &site.kubectl_json(["get", "pod", pod])?, container)?.kill()
}

/// Kills the main processes of a container of several pods at once; answers when the last one died.
pub(crate) fn kill_all(site: &Site, pods: &[Value], container: &str) -> Result<Instant> {
    let processes: Vec<Process<'_>> =
        pods.iter().map(|pod| Process::of(&site.cluster, pod, container)).collect::<Result<_>>()?;
    let deaths = thread::scope(|scope| {
        let kills: Vec<_> = processes.iter().map(|process| scope.spawn(move || process.kill())).collect();
        kills
            .into_iter()
            .map(|kill| kill.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
            .collect::<Result<Vec<_>>>()
    })?;
    deaths.into_iter().max().context("there was nothing to kill")
}

/// The pods of a component, as the cluster has them, in the order of their names.
pub(crate) fn pods_of(site: &Site, component: &str) -> Result<Vec<Value>> {
    let pods = site.of_component("pods", component)?;
    ensure!(!pods.is_empty(), "{component} has no pods");
    Ok(pods)
}

/// The name of an object.
pub(crate) fn name_of(object: &Value) -> Result<&str> {
    object["metadata"]["name"].as_str().with_context(|| format!("an object has no name: {object}"))
}

/// Deletes a pod together with the volume that it keeps its data on.
pub(crate) fn lose_volume(site: &Site, pod: &Value) -> Result<()> {
    let claim = claim_of(pod).with_context(|| format!("a pod has no volume: {}", pod["metadata"]["name"]))?;
    // The claim goes once no pod uses it any more.
    site.kubectl(["delete", "persistentvolumeclaim", claim, "--wait=false"])?;
    site.kubectl(["delete", "pod", name_of(pod)?, "--wait=false"]).map(drop)
}

fn claim_of(pod: &Value) -> Option<&str> {
    pod["spec"]["volumes"].as_array()?.iter().find_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Processes that neither answer nor end, for as long as this lives.
pub(crate) struct Paused<'a>(Vec<Process<'a>>);

impl<'a> Paused<'a> {
    /// Stops every process of a container of a component's pods.
    pub(crate) fn begin(site: &'a Site, component: &str, container: &str) -> Result<Self> {
        let pods = pods_of(site, component)?;
        let processes = pods.iter().map(|pod| Process::of(&site.cluster, pod, container)).collect::<Result<_>>()?;
        // From here on they go on when this is dropped, even if one of them cannot be stopped.
        let paused = Self(processes);
        paused.0.iter().try_for_each(|process| process.signal_all("STOP"))?;
        Ok(paused)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        for process in &self.0 {
            // It fails only where the container has ended, so that there is nothing to go on.
            let _ = process.signal_all("CONT");
        }
    }
}

/// A pod that is gone as if its node were: nothing of it is left in the cluster, and none takes its place for as long as this lives.
pub(crate) struct Gone<'a> {
    site: &'a Site,
    node: String,
    /// When its process died.
    pub(crate) at: Instant,
}

impl<'a> Gone<'a> {
    /// Takes away a pod whose volume is bound to its node, and kills the main process of a container of it.
    pub(crate) fn begin(site: &'a Site, pod: &str, container: &str) -> Result<Self> {
        let found = site.kubectl_json(["get", "pod", pod])?;
        let process = Process::of(&site.cluster, &found, container)?;
        let node = found["spec"]["nodeName"].as_str().context("the pod is on no node")?.to_owned();
        // From here on the node is given back when this is dropped.
        let mut gone = Self { site, node, at: Instant::now() };
        site.cluster.kubectl(["cordon", &gone.node])?;
        site.kubectl(["delete", "pod", pod, "--grace-period=0", "--force", "--wait=false"])?;
        // It may be dead by now, since the node was told.
        gone.at = process.kill().unwrap_or_else(|_| Instant::now());
        Ok(gone)
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.site.cluster.kubectl_command(["uncordon", &self.node]).shielded().execute();
    }
}

/// A cluster in which nobody answers for names, for as long as this lives.
pub(crate) struct NamesAway<'a> {
    site: &'a Site,
    replicas: u64,
}

impl<'a> NamesAway<'a> {
    /// Ends the cluster's name servers and waits until they are gone.
    pub(crate) fn begin(site: &'a Site) -> Result<Self> {
        let deployment = site.cluster.kubectl_json(["get", NAME_SERVER, "--namespace", SYSTEM])?;
        let replicas = deployment["spec"]["replicas"].as_u64().context("the name server has no replicas")?;
        let away = Self { site, replicas };
        away.scale(0)?;
        until("the name servers are gone", NAMES_LIMIT, || {
            let pods = site.cluster.kubectl([
                "get",
                "pods",
                "--namespace",
                SYSTEM,
                "--selector=k8s-app=kube-dns",
                "-o=name",
            ])?;
            ensure!(pods.is_empty(), "there is {pods}");
            Ok(())
        })?;
        Ok(away)
    }

    fn scale(&self, replicas: u64) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", NAME_SERVER, "--namespace", SYSTEM, &replicas];
        self.site.cluster.kubectl_command(scale).shielded().execute()
    }
}

impl Drop for NamesAway<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.scale(self.replicas);
    }
}

const NAME_SERVER: &str = "deployment/coredns";
const SYSTEM: &str = "kube-system";

/// A cluster whose operator does not run, for as long as this lives.
pub(crate) struct OperatorAway<'a>(&'a Site);

impl<'a> OperatorAway<'a> {
    /// Ends the operator and waits until it is gone.
    pub(crate) fn begin(site: &'a Site) -> Result<Self> {
        let away = Self(site);
        away.scale(0)?;
        until("the operator is gone", OPERATOR_LIMIT, || {
            let pods =
                site.cluster.kubectl(["get", "pods", "--namespace", OPERATOR_NAMESPACE, SELECTOR, "--output=name"])?;
            ensure!(pods.is_empty(), "there is {pods}");
            Ok(())
        })?;
        Ok(away)
    }

    /// Starts it again.
    pub(crate) fn end(self) -> Result<()> {
        self.scale(1)
    }

    fn scale(&self, replicas: u8) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", "deployment", "--namespace", OPERATOR_NAMESPACE, SELECTOR, &replicas];
        self.0.cluster.kubectl_command(scale).shielded().execute().map_err(|error| anyhow!("the operator: {error:#}"))
    }
}

const SELECTOR: &str = "--selector=app.kubernetes.io/name=chatplatform-operator";

impl Drop for OperatorAway<'_> {
    fn drop(&mut self) {
        // What went wrong with that is seen by whoever waits for the platform next.
        let _ = self.scale(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_claim_is_the_one_that_its_volume_names() {
        let pod = json!({"spec": {"volumes": [
            {"name": "config", "configMap": {"name": "acme-mongodb"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-acme-mongodb-2"}},
        ]}});
        assert_eq!(claim_of(&pod), Some("data-acme-mongodb-2"));
        assert_eq!(claim_of(&json!({"spec": {"volumes": []}})), None);
    }
}
