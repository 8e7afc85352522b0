//! One request, followed through the logs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::people::{messages, two_in_conversation, unique};
use super::wait::until;

pub(super) fn one_trace_id_goes_from_the_edge_to_the_consumer(stage: &Stage) -> Result<()> {
    let (ada, _, conversation) = two_in_conversation(stage)?;
    let body = json!({"text": "follow me", "nonce": unique("n")});
    let trace = format!("{:0>32}", unique("").replace('-', ""));
    let headers = [
        ("authorization", format!("Bearer {}", ada.access_token)),
        ("content-type", "application/json".to_owned()),
        ("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")),
    ];
    stage.rest.send("POST", &messages(&conversation), &headers, &serde_json::to_vec(&body)?)?.expect(201)?;
    for service in ["gateway", "chat", "notification"] {
        until(&format!("the trace id in the log of {service}"), Duration::from_secs(20), || {
            let log = stage.logs_of(service)?;
            let line = log.lines().find(|line| line.contains(&trace)).context("it is not there")?;
            let entry: Value = serde_json::from_str(line).with_context(|| format!("not a JSON log: {line}"))?;
            ensure!(entry.is_object(), "not an object: {line}");
            Ok(())
        })?;
    }
    // Without a trace of the client's own, the edge starts one.
    let answer = ada.get(stage, "/api/v1/conversations/00000000000000000000000000")?;
    let problem: Value = serde_json::from_slice(&answer.bytes)?;
    let started = problem["traceId"].as_str().unwrap_or_default();
    ensure!(started.len() == 32 && started != trace, "no trace id of its own: {problem}");
    Ok(())
}
