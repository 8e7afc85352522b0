//! The controllers of the cluster's own, which make pods of what operators write.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::progress::Progress;
use crate::scenarios::wait::until;

/// The kubelet runs what lies in this folder.
const FOLDER: &str = "/etc/kubernetes/manifests";
const FILE: &str = "kube-controller-manager.yaml";
const ASIDE: &str = "/etc/kubernetes";
const LIMIT: Duration = Duration::from_mins(1);

/// A cluster in which none of them runs, for as long as this lives.
pub(super) struct Stopped<'a> {
    cluster: &'a Cluster,
    node: String,
}

impl<'a> Stopped<'a> {
    /// Stops them and waits until they are gone.
    pub(super) fn begin(cluster: &'a Cluster, progress: &Progress) -> Result<Self> {
        let stopped = Self { cluster, node: format!("{}-control-plane", cluster.name()) };
        progress.say("the controllers of the cluster's own are stopped, so that nothing becomes a pod");
        // It is aside already where a run was killed.
        let script = format!("[ ! -e {FOLDER}/{FILE} ] || mv {FOLDER}/{FILE} {ASIDE}");
        cluster.docker(["exec", &stopped.node, "sh", "-c", &script]).execute()?;
        until("the controllers are gone", LIMIT, || {
            let running = ["exec", &stopped.node, "crictl", "ps", "--quiet", "--name", "kube-controller-manager"];
            ensure!(cluster.docker(running).output()?.is_empty(), "they run");
            Ok(())
        })?;
        Ok(stopped)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // On a cluster that is taken down, it makes no difference; on one that is kept, a person sees that nothing works.
        let _ =
            self.cluster.docker(["exec", &self.node, "mv", &format!("{ASIDE}/{FILE}"), FOLDER]).shielded().execute();
    }
}
