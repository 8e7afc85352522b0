//! The chat service scaled by its sockets: with a metrics adapter, whose place here the sample of the library takes that adapters are made
//! with. It serves what it is told, and is told what the pods say.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::restoring;
use crate::offline::images::TEST_ADAPTER;
use crate::scenarios::chat::{chat_pods, sockets_on};
use crate::scenarios::forward::Forward;
use crate::scenarios::people::Person;
use crate::scenarios::socket::Socket;
use crate::scenarios::wait::until;
use crate::scenarios::{Stage, on_demand};
use crate::source;

const NAMESPACE: &str = "custom-metrics";
/// The port at which the adapter is told.
const TOLD_AT: u16 = 8080;
/// How long an autoscaler may take to look, twice.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) fn chat_is_scaled_by_its_connections_where_an_adapter_tells_of_them(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let adapter = Adapter::install(stage)?;
    restoring(stage, || {
        let ada = Person::register(stage, "ada")?;
        let sockets = (0..4).map(|_| Socket::connect(stage, &ada.access_token)).collect::<Result<Vec<_>>>()?;
        adapter.tell(stage)?;
        // That much CPU nobody uses: it is for the sockets that pods are added.
        let autoscaling = json!({"maxReplicas": 2, "targetCPUUtilization": 1000, "targetConnections": 2});
        stage.change(&json!({"spec": {"chat": {"autoscaling": autoscaling}}}))?;
        until("the autoscaler adds a pod for the sockets", LIMIT, || {
            adapter.tell(stage)?;
            let pods = chat_pods(stage)?.len();
            ensure!(pods == 2, "there are {pods}");
            Ok(())
        })?;
        stage.wait_until_ready()?;
        let name = format!("{}-chat", stage.platform);
        let autoscaler = stage.kubectl_json(["get", "horizontalpodautoscaler", &name])?;
        let of_sockets = &autoscaler["status"]["currentMetrics"][1]["pods"];
        ensure!(of_sockets["metric"]["name"] == "chat_sockets", "it goes by {}", autoscaler["status"]);
        stage.note(format!("{} sockets", sockets.len()));
        Ok(())
    })
}

/// The adapter, for as long as this lives.
struct Adapter<'a> {
    stage: &'a Stage,
    manifest: String,
}

impl<'a> Adapter<'a> {
    fn install(stage: &'a Stage) -> Result<Self> {
        on_demand::put_image(&stage.cluster, TEST_ADAPTER)?;
        let manifest = fs::read_to_string(source::root()?.join("e2e/manifests/test-adapter.yaml"))?;
        let adapter = Self { stage, manifest };
        let cluster = &stage.cluster;
        cluster.apply(&adapter.manifest)?;
        cluster.kubectl(["rollout", "status", "deployment/adapter", "--namespace", NAMESPACE, "--timeout=120s"])?;
        cluster.kubectl([
            "wait",
            "--for=condition=Available",
            "--timeout=60s",
            "apiservice/v1beta2.custom.metrics.k8s.io",
        ])?;
        Ok(adapter)
    }

    /// Tells it how many sockets each chat pod says it has.
    fn tell(&self, stage: &Stage) -> Result<()> {
        let forward = Forward::elsewhere(&self.stage.cluster, NAMESPACE, "deployment/adapter", TOLD_AT)?;
        for pod in chat_pods(stage)? {
            let metric = format!("write-metrics/namespaces/{}/pods/{pod}/chat_sockets", stage.namespace);
            let sockets = json!(sockets_on(stage, &pod)?.to_string());
            ureq::post(format!("http://localhost:{}/{metric}", forward.port)).send_json(&sockets)?;
        }
        Ok(())
    }
}

impl Drop for Adapter<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "--ignore-not-found", "--filename", "-"];
        let _ = self.stage.cluster.kubectl_command(delete).input(&self.manifest).execute();
    }
}
