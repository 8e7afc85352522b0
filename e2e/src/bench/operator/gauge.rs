//! What an operator's process takes, read from outside of it, and the requests that it counts itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::subject::{self, Subject};
use crate::scenarios::process::Process;

/// The process of one operator. A process that was started anew is another.
pub(super) struct Gauge<'a> {
    subject: &'a Subject<'a>,
    process: Process<'a>,
    pod: String,
}

/// What was used within some time.
pub(super) struct Spent {
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) renewals: u64,
    pub(super) processor: Duration,
}

impl<'a> Gauge<'a> {
    pub(super) fn of(subject: &'a Subject<'a>) -> Result<Self> {
        let pod: Value = subject::pod(subject.cluster, subject.kind)?;
        let name = pod["metadata"]["name"].as_str().context("the pod has no name")?.to_owned();
        let process = Process::of(subject.cluster, &pod, subject.kind.container)?;
        Ok(Self { subject, process, pod: name })
    }

    /// Resident memory, in KiB.
    pub(super) fn resident(&self) -> Result<u64> {
        self.process.resident_kibibytes()
    }

    /// The most resident memory ever, in KiB.
    pub(super) fn peak(&self) -> Result<u64> {
        self.process.peak_kibibytes()
    }

    /// Processor time since the start.
    pub(super) fn processor(&self) -> Result<Duration> {
        self.process.processor_time()
    }

    /// What is used while `meanwhile` runs.
    pub(super) fn spent_in(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<Spent> {
        let (before, processor) = (self.requests()?, self.processor()?);
        meanwhile()?;
        let (after, processor) = (self.requests()?, self.processor()?.saturating_sub(processor));
        let more = |wanted: &dyn Fn(&str) -> bool| {
            let more = after.iter().filter(|(method, _)| wanted(method));
            more.map(|(method, count)| count.saturating_sub(before.get(method).copied().unwrap_or_default())).sum()
        };
        let election = self.subject.kind.election;
        let renews = |method: &str| election == Some(method);
        Ok(Spent {
            reads: more(&|method| method == "GET"),
            writes: more(&|method| method != "GET" && !renews(method)),
            renewals: more(&renews),
            processor,
        })
    }

    /// Requests to the API server since the start, by method.
    fn requests(&self) -> Result<BTreeMap<String, u64>> {
        let kind = self.subject.kind;
        let (namespace, pod, port) = (kind.namespace, &self.pod, kind.port);
        let text = self.subject.api.text(&format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics"))?;
        Ok(by_method(&text, kind.counter))
    }
}

/// A counter's series in a text of Prometheus or `OpenMetrics`, added up by their label `method`.
fn by_method(text: &str, counter: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let series = text.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('{')?.split_once("} "));
    for (labels, value) in series {
        let Some((_, rest)) = labels.split_once("method=\"") else { continue };
        let Some((method, _)) = rest.split_once('"') else { continue };
        let Some(count) = whole(value) else { continue };
        *found.entry(method.to_owned()).or_default() += count;
    }
    found
}

/// Programs in Go write large numbers as `1.234567e+06`.
fn whole(value: &str) -> Option<u64> {
    let value = value.split_whitespace().next()?;
    let Some((digits, exponent)) = value.split_once("e+") else { return value.parse().ok() };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = exponent.parse::<usize>().ok()?.checked_sub(after.len())?;
    format!("{before}{after}{}", "0".repeat(zeros)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_added_up_by_method_in_the_texts_of_both() {
        let ours = "# HELP requests Requests.\nrequests_total{method=\"GET\",code=\"200\"} 5\nrequests_total{method=\"GET\",code=\"404\"} 2\n\
                    requests_total{method=\"PUT\",code=\"200\"} 3\nrequests_total_more{method=\"PUT\"} 9\n# EOF\n";
        let found = by_method(ours, "requests_total");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("GET".to_owned(), 7), ("PUT".to_owned(), 3)]);
        let theirs = "rest_client_requests_total{code=\"200\",host=\"10.96.0.1:443\",method=\"PUT\"} 1.234567e+06\n";
        assert_eq!(by_method(theirs, "rest_client_requests_total").get("PUT"), Some(&1_234_567));
    }

    #[test]
    fn numbers_of_go_are_read() {
        assert_eq!(whole("1e+06"), Some(1_000_000));
        assert_eq!(whole("42"), Some(42));
        assert_eq!(whole("1.5"), None);
    }
}
