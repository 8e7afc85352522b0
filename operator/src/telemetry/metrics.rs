//! What the operator counts, in the `OpenMetrics` text format.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the buckets that runs are counted in, by how long they took.
const DURATIONS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the operator counts. Each has its row in `docs/reference/metrics.md`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Counter,
    failures: Family<Failure, Counter>,
    duration: HistogramWithExemplars<Trace>,
    queue: Gauge,
    api_requests: Family<ApiRequest, Counter>,
    platforms: Family<Phase, Gauge>,
    leader: Gauge,
    next_renewal: Gauge<f64, AtomicU64>,
    backups_failing: Gauge,
}

/// The id of a run of the pipeline, which every line that it logs carries, as W3C Trace Context writes it: 32 hexadecimal digits.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Trace {
    trace_id: String,
}

impl Trace {
    /// Another one.
    #[must_use]
    pub fn new() -> Self {
        // The one that is zero is no id; it has never come up.
        Self { trace_id: format!("{:032x}", rand::random::<u128>()) }
    }

    /// The id of the run as the one span of its trace: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        // Random as a whole, it is random in each half.
        self.trace_id.get(..16).unwrap_or_default()
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.trace_id
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    category: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApiRequest {
    method: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Phase {
    phase: String,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix("chatplatform_operator");
        let reconciles = Counter::default();
        registry.register("reconciles", "Runs of the pipeline, failed ones included", reconciles.clone());
        let failures = Family::default();
        registry.register("reconcile_failures", "Runs that failed, by category", failures.clone());
        let duration = HistogramWithExemplars::new(DURATIONS.into_iter());
        registry.register_with_unit("reconcile_duration", "How long a run took", Unit::Seconds, duration.clone());
        let queue = Gauge::default();
        let help = "Platforms whose document, as it is now, has not been through the pipeline yet";
        registry.register("queue_depth", help, queue.clone());
        let api_requests = Family::default();
        let help = "Requests to the API server, by method and answer; error where none came";
        registry.register("api_requests", help, api_requests.clone());
        let platforms = Family::default();
        registry.register("platforms", "Platforms, by phase", platforms.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this operator leads", leader.clone());
        let next_renewal = Gauge::default();
        registry.register_with_unit(
            "next_renewal_timestamp",
            "When the next certificate of any platform is due, in Unix time; 0 while none is known",
            Unit::Seconds,
            next_renewal.clone(),
        );
        let backups_failing = Gauge::default();
        registry.register("backups_failing", "Platforms whose last backup failed", backups_failing.clone());
        registry.register("build", "What runs", Info::new(vec![("version", version.to_owned())]));
        Self {
            registry,
            reconciles,
            failures,
            duration,
            queue,
            api_requests,
            platforms,
            leader,
            next_renewal,
            backups_failing,
        }
    }

    /// A run of the pipeline ended; `failure` is the category of its error.
    pub fn reconciled(&self, took: Duration, failure: Option<&str>, trace: Trace) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64(), Some(trace), Some(SystemTime::now()));
        if let Some(category) = failure {
            self.failures.get_or_create(&Failure { category: category.to_owned() }).inc();
        }
    }

    /// Platforms that wait for a run of the pipeline, because their documents have changed.
    pub fn waiting(&self, platforms: usize) {
        self.queue.set(i64::try_from(platforms).unwrap_or(i64::MAX));
    }

    /// The API server was asked, and answered with a status or not at all.
    pub fn asked(&self, method: &str, status: Option<u16>) {
        let code = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.api_requests.get_or_create(&ApiRequest { method: method.to_owned(), code }).inc();
    }

    /// The platforms there are, by phase; a phase that is not named has none.
    pub fn platforms<'a>(&self, phases: impl IntoIterator<Item = &'a str>) {
        let mut counts = BTreeMap::<&str, i64>::new();
        for phase in phases {
            *counts.entry(phase).or_default() += 1;
        }
        self.platforms.clear();
        for (phase, count) in counts {
            self.platforms.get_or_create(&Phase { phase: phase.to_owned() }).set(count);
        }
    }

    /// Whether this operator leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// When the next certificate of any platform is due; 0 while none is known.
    pub fn next_renewal(&self, at: Option<jiff::Timestamp>) {
        self.next_renewal.set(at.map_or(0.0, |at| at.as_duration().as_secs_f64()));
    }

    /// Platforms whose last backup failed.
    pub fn backups_failing(&self, platforms: usize) {
        self.backups_failing.set(i64::try_from(platforms).unwrap_or(i64::MAX));
    }

    /// Everything in the `OpenMetrics` text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new("0.1.0");
        metrics.reconciled(Duration::from_millis(30), None, Trace::new());
        let trace = Trace::new();
        metrics.reconciled(Duration::from_millis(30), Some("MongoDBUnreachable"), trace.clone());
        metrics.waiting(2);
        metrics.asked("GET", Some(200));
        metrics.asked("GET", None);
        metrics.leading(true);
        metrics.backups_failing(1);
        metrics.platforms(["Ready", "Ready", "Pending"]);
        let text = metrics.text();
        for line in [
            "chatplatform_operator_reconciles_total 2",
            r#"chatplatform_operator_reconcile_failures_total{category="MongoDBUnreachable"} 1"#,
            "chatplatform_operator_reconcile_duration_seconds_count 2",
            "chatplatform_operator_queue_depth 2",
            r#"chatplatform_operator_api_requests_total{method="GET",code="200"} 1"#,
            r#"chatplatform_operator_api_requests_total{method="GET",code="error"} 1"#,
            "chatplatform_operator_leader 1",
            "chatplatform_operator_backups_failing 1",
            r#"chatplatform_operator_platforms{phase="Ready"} 2"#,
            r#"chatplatform_operator_build_info{version="0.1.0"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        // The newest run of a bucket is the one that its exemplar names.
        let exemplar = format!(r#"# {{trace_id="{}"}} 0.03 "#, trace.as_str());
        let bucket = text.lines().find(|line| line.contains(r#"le="0.05""#)).unwrap();
        assert!(bucket.contains(&exemplar), "{exemplar} is not in {bucket}");
        metrics.platforms(["Pending"]);
        assert!(!metrics.text().contains(r#"phase="Ready""#));
    }

    #[test]
    fn every_metric_is_in_the_reference_and_nothing_else_is() {
        const PAGE: &str = include_str!("../../../docs/reference/metrics.md");
        let metrics = Metrics::new("0.1.0");
        // Those with labels are not shown before they are counted.
        metrics.reconciled(Duration::ZERO, Some("InvalidSpec"), Trace::new());
        metrics.asked("GET", Some(200));
        metrics.platforms(["Ready"]);
        let text = metrics.text();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        // As they are asked for in PromQL.
        let mut there: Vec<String> = types
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        let row = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned());
        let mut told: Vec<String> =
            PAGE.lines().filter_map(row).filter(|name| name.starts_with("chatplatform_operator_")).collect();
        there.sort_unstable();
        told.sort_unstable();
        assert_eq!(there, told);
    }
}
