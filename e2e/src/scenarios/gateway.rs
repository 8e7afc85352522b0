//! How the gateway finds and uses the pods behind it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::Stage;
use super::faults::{name_of, pods_of};
use super::forward::Forward;
use super::people::Person;
use super::scaling::restoring;
use super::wait::until;

/// The port of metrics, which the edge does not show.
const ADMIN_PORT: u16 = 9090;
/// Names are asked once a second; name servers may remember an answer for half a minute.
const KNOWN_WITHIN: Duration = Duration::from_secs(45);

pub(super) fn requests_are_spread_over_every_pod_of_a_service(stage: &Stage) -> Result<()> {
    restoring(stage, || spread(stage))
}

fn spread(stage: &Stage) -> Result<()> {
    const PODS: usize = 3;
    const REQUESTS: usize = 90;
    stage.change(&json!({"spec": {"auth": {"replicas": PODS}}}))?;
    stage.wait_until_ready()?;
    wait_until_known(stage, "auth", PODS)?;
    let pods = pods_of(stage, "auth")?;
    ensure!(pods.len() == PODS, "there are {} pods", pods.len());
    let before = pods.iter().map(|pod| answered(stage, name_of(pod)?)).collect::<Result<Vec<_>>>()?;
    let person = Person::register(stage, "ada")?;
    for _ in 0..REQUESTS {
        person.get(stage, "/api/v1/users/me")?.expect(200)?;
    }
    let mut shares = Vec::new();
    for (pod, before) in pods.iter().zip(before) {
        shares.push(answered(stage, name_of(pod)?)? - before);
    }
    stage.note(format!("of {REQUESTS} requests: {shares:?}"));
    // Chance alone leaves a third of its share to nobody but once in a million runs.
    let least = u64::try_from(REQUESTS / PODS / 3)?;
    ensure!(shares.iter().all(|share| *share >= least), "the shares are {shares:?}");
    Ok(())
}

/// Waits until every gateway knows so many pods of a service.
pub(super) fn wait_until_known(stage: &Stage, service: &str, pods: usize) -> Result<()> {
    for gateway in pods_of(stage, "gateway")? {
        let known = format!("gateway_upstream_endpoints{{upstream=\"{service}\"}} {pods}");
        until("the gateway knows every pod", KNOWN_WITHIN, || {
            let metrics = metrics(stage, name_of(&gateway)?)?;
            ensure!(metrics.lines().any(|line| line == known), "there is no line {known}");
            Ok(())
        })?;
    }
    Ok(())
}

/// How many requests a pod of a service has answered.
fn answered(stage: &Stage, pod: &str) -> Result<u64> {
    let metrics = metrics(stage, pod)?;
    let lines = metrics.lines().filter(|line| line.starts_with("http_requests_total{"));
    lines
        .map(|line| line.rsplit(' ').next().context("a metric has no value")?.parse::<u64>().context("no number"))
        .sum()
}

/// What a pod of a service says of itself.
pub(super) fn metrics(stage: &Stage, pod: &str) -> Result<String> {
    let forward = Forward::to(stage, &format!("pod/{pod}"), ADMIN_PORT)?;
    let mut answer = ureq::get(format!("http://localhost:{}/metrics", forward.port)).call()?;
    Ok(answer.body_mut().read_to_string()?)
}
