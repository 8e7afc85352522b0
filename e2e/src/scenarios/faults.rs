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

/// How long the pods of a Deployment may take to be gone.
const AWAY_LIMIT: Duration = Duration::from_mins(1);

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
    /// Stops the API server: who asks it something waits.
    pub(crate) fn api_server(site: &'a Site) -> Result<Self> {
        const NAME: &str = "kube-apiserver";
        let label = format!("--selector=component={NAME}");
        let listed = site.cluster.kubectl_json(["get", "pods", "--namespace=kube-system", &label])?;
        let pods = listed["items"].as_array().filter(|pods| !pods.is_empty()).context("there is no API server")?;
        Self::all(pods.iter().map(|pod| Process::of(&site.cluster, pod, NAME)).collect::<Result<_>>()?)
    }

    /// Stops every process of a container of a component's pods.
    pub(crate) fn begin(site: &'a Site, component: &str, container: &str) -> Result<Self> {
        let pods = pods_of(site, component)?;
        Self::all(pods.iter().map(|pod| Process::of(&site.cluster, pod, container)).collect::<Result<_>>()?)
    }

    fn all(processes: Vec<Process<'a>>) -> Result<Self> {
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

/// A Deployment outside of the platform that it depends on.
pub(crate) struct Deployment {
    name: &'static str,
    namespace: &'static str,
    /// Of the Deployment and of its pods.
    selector: &'static str,
}

/// The operator.
pub(crate) const OPERATOR: Deployment = Deployment {
    name: "the operator",
    namespace: OPERATOR_NAMESPACE,
    selector: "--selector=app.kubernetes.io/name=chatplatform-operator",
};
/// Who answers for names in the cluster.
pub(crate) const NAME_SERVERS: Deployment =
    Deployment { name: "the name servers", namespace: "kube-system", selector: "--selector=k8s-app=kube-dns" };

/// A cluster in which a Deployment does not run, for as long as this lives.
pub(crate) struct Away<'a> {
    site: &'a Site,
    what: &'static Deployment,
    replicas: u64,
}

impl<'a> Away<'a> {
    /// Ends its pods and waits until they are gone.
    pub(crate) fn begin(site: &'a Site, what: &'static Deployment) -> Result<Self> {
        let Deployment { name, namespace, selector } = what;
        let listed = site.cluster.kubectl_json(["get", "deployments", "--namespace", namespace, selector])?;
        let replicas = &listed["items"][0]["spec"]["replicas"];
        let replicas = replicas.as_u64().with_context(|| format!("{name}: there is no such Deployment"))?;
        let away = Self { site, what, replicas };
        away.scale(0)?;
        until(&format!("{name}: gone"), AWAY_LIMIT, || {
            let pods = site.cluster.kubectl(["get", "pods", "--namespace", namespace, selector, "--output=name"])?;
            ensure!(pods.is_empty(), "there is {pods}");
            Ok(())
        })?;
        Ok(away)
    }

    /// Starts it again.
    pub(crate) fn end(self) -> Result<()> {
        self.scale(self.replicas)
    }

    fn scale(&self, replicas: u64) -> Result<()> {
        let Deployment { name, namespace, selector } = self.what;
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", "deployment", "--namespace", namespace, selector, &replicas];
        let run = self.site.cluster.kubectl_command(scale).shielded();
        run.execute().map_err(|error| anyhow!("{name}: {error:#}"))
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        // What went wrong with that is seen by whoever waits for the platform next.
        let _ = self.scale(self.replicas);
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
