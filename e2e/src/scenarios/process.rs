//! A container's processes, reached by way of the node that they run on.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::procfs::{amount, processor_time};

/// The main process of a container.
pub(crate) struct Process<'a> {
    cluster: &'a Cluster,
    node: String,
    pid: u64,
}

impl<'a> Process<'a> {
    /// Finds it; `pod` is the object as the cluster has it.
    pub(crate) fn of(cluster: &'a Cluster, pod: &Value, container: &str) -> Result<Self> {
        let name = &pod["metadata"]["name"];
        let node = pod["spec"]["nodeName"].as_str().with_context(|| format!("the pod {name} is on no node"))?;
        let id = container_id(pod, container).with_context(|| format!("{container} does not run in the pod {name}"))?;
        let inspected = cluster.docker(["exec", node, "crictl", "inspect", id]).output()?;
        let inspected: Value = serde_json::from_str(&inspected).context("crictl answers nonsense")?;
        let pid = inspected["info"]["pid"].as_u64().with_context(|| format!("{container} of {name} has no process"))?;
        Ok(Self { cluster, node: node.to_owned(), pid })
    }

    /// Kills it as a crash does, with all that runs in its container; answers when.
    pub(crate) fn kill(&self) -> Result<Instant> {
        // The nodes share this machine's clock, and starting `docker exec` takes longer than the kill itself.
        let script = format!("kill -KILL {} && date +%s.%N", self.pid);
        let stamp = self.cluster.docker(["exec", &self.node, "sh", "-c", &script]).output()?;
        let age = age_of(&stamp, SystemTime::now()).with_context(|| format!("date answers {stamp:?}"))?;
        Instant::now().checked_sub(age).context("the kill was before this machine started")
    }

    /// Sends a signal to every process of its container.
    pub(crate) fn signal_all(&self, signal: &str) -> Result<()> {
        // All of them share the process namespace of the main one, and nobody else does.
        let script = format!(
            "space=$(readlink /proc/{pid}/ns/pid) && for process in /proc/[0-9]*; do \
             if [ \"$(readlink $process/ns/pid)\" = \"$space\" ]; then kill -{signal} ${{process#/proc/}} || true; fi; done",
            pid = self.pid
        );
        // A process that has just ended cannot be signalled, and need not.
        self.cluster.docker(["exec", &self.node, "sh", "-c", &script]).shielded().execute()
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident_kibibytes(&self) -> Result<u64> {
        amount(&self.read("status")?, "VmRSS").context("proc(5) shows no VmRSS")
    }

    /// The most resident memory that it ever had, in KiB.
    pub(crate) fn peak_kibibytes(&self) -> Result<u64> {
        amount(&self.read("status")?, "VmHWM").context("proc(5) shows no VmHWM")
    }

    /// The time that it and those of its children that have ended have kept a processor busy.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.read("stat")?).context("proc(5) shows no times")
    }

    /// Its arguments and its environment, one a line.
    pub(crate) fn arguments_and_environment(&self) -> Result<String> {
        Ok([self.read("cmdline")?, self.read("environ")?].join("\0").replace('\0', "\n"))
    }

    fn read(&self, file: &str) -> Result<String> {
        self.cluster.docker(["exec", &self.node, "cat", &format!("/proc/{}/{file}", self.pid)]).output()
    }
}

/// KiB, to be shown in megabytes.
pub(crate) struct Megabytes(pub(crate) u64);

impl Display for Megabytes {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.0 * 1024;
        write!(formatter, "{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
    }
}

fn container_id<'a>(pod: &'a Value, container: &str) -> Option<&'a str> {
    let containers = pod["status"]["containerStatuses"].as_array()?;
    let found = containers.iter().find(|found| found["name"] == container && found["state"]["running"].is_object())?;
    found["containerID"].as_str()?.rsplit('/').next()
}

/// How long ago the moment was that `date +%s.%N` shows.
fn age_of(stamp: &str, now: SystemTime) -> Option<Duration> {
    let (seconds, nanoseconds) = stamp.trim().split_once('.')?;
    let then = Duration::new(seconds.parse().ok()?, nanoseconds.parse().ok()?);
    now.duration_since(UNIX_EPOCH).ok()?.checked_sub(then)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_found_by_its_name_while_it_runs() {
        let pod = json!({"status": {"containerStatuses": [
            {"name": "sentinel", "containerID": "containerd://a", "state": {"running": {}}},
            {"name": "redis", "containerID": "containerd://b", "state": {"running": {"startedAt": "now"}}},
            {"name": "dead", "containerID": "containerd://c", "state": {"terminated": {}}},
        ]}});
        assert_eq!(container_id(&pod, "redis"), Some("b"));
        assert_eq!(container_id(&pod, "dead"), None);
        assert_eq!(container_id(&pod, "mongod"), None);
    }

    #[test]
    fn the_moment_of_a_kill_is_the_nodes_word_and_not_when_the_answer_came() {
        let now = UNIX_EPOCH + Duration::new(1_700_000_000, 500_000_000);
        assert_eq!(age_of("1700000000.250000000\n", now), Some(Duration::from_millis(250)));
        assert_eq!(age_of("kill: no such process", now), None);
    }

    #[test]
    fn memory_is_shown_in_megabytes() {
        assert_eq!(Megabytes(9876).to_string(), "10.1 MB");
    }
}
