//! One request, followed through the logs and by the spans that services send.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::collector::{self, Span};
use super::people::{messages, two_in_conversation, unique};
use super::wait::until;

/// The span that the client says it is in.
const CALLER: &str = "00f067aa0ba902b7";

pub(super) fn one_trace_goes_from_the_edge_to_the_consumer_in_logs_and_to_the_collector(stage: &Stage) -> Result<()> {
    let (ada, _, conversation) = two_in_conversation(stage)?;
    let body = json!({"text": "follow me", "nonce": unique("n")});
    let trace = format!("{:0>32}", unique("").replace('-', ""));
    let headers = [
        ("authorization", format!("Bearer {}", ada.access_token)),
        ("content-type", "application/json".to_owned()),
        ("traceparent", format!("00-{trace}-{CALLER}-01")),
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
    until("the spans of the trace", Duration::from_secs(20), || {
        let spans = collector::spans_of(stage, &trace)?;
        let of = |service: &str| -> Vec<&Span> {
            let name = format!("{}-{service}", stage.platform);
            spans.iter().filter(|span| span.service == name).collect()
        };
        let gateway = of("gateway").into_iter().find(|span| span.parent == CALLER);
        let gateway = gateway.with_context(|| format!("none of the gateway's is the caller's child: {spans:?}"))?;
        let chat = of("chat").into_iter().any(|span| span.parent == gateway.id);
        ensure!(chat, "none of the chat service's is a child of the gateway's: {spans:?}");
        ensure!(!of("notification").is_empty(), "none of the consumer: {spans:?}");
        Ok(())
    })?;
    // Without a trace of the client's own, the edge starts one.
    let answer = ada.get(stage, "/api/v1/conversations/00000000000000000000000000")?;
    let problem: Value = serde_json::from_slice(&answer.bytes)?;
    let started = problem["traceId"].as_str().unwrap_or_default();
    ensure!(started.len() == 32 && started != trace, "no trace id of its own: {problem}");
    Ok(())
}
