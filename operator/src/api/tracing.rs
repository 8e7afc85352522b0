//! Where the services send their traces.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Traces of requests through the services, sent to an OpenTelemetry collector by OTLP over HTTP.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// URL of the collector, such as http://collector.monitoring:4318, without path; http alone, as the collector is in the cluster or
    /// beside it. Spans that it does not take are dropped, and nobody waits for it. At most 270 characters.
    /// Change: rolling restart of the services.
    #[schemars(length(max = 270))]
    #[x_kube(validation = Rule::new(r"self.matches('^http://[^/?#@\\s]+/?$')").message("write a URL without path and with the scheme http, such as http://collector.monitoring:4318"))]
    pub endpoint: String,

    /// Share of the traces that is sent, in percent, 0 to 100; every service sends the same ones. Default: 100.
    /// Change: rolling restart of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("write a share in percent from 0 to 100"))]
    pub sampling_percent: Option<i32>,
}
