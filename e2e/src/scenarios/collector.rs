//! The collector of traces beside the platform: what it has received, as OTLP has it.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

use super::site::Site;

/// What `spec.tracing.endpoint` says.
pub(super) const ENDPOINT: &str = "http://collector:4318";

/// It keeps what is posted at the protocol's path, in the protocol's form, and shows it in base64. The image is one that is there
/// already and has Node.
pub(super) const MANIFEST: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: collector}
spec:
  selector: {matchLabels: {app: collector}}
  template:
    metadata: {labels: {app: collector}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: collector
          image: docker.io/maildev/maildev:2.2.1
          imagePullPolicy: IfNotPresent
          command:
            - node
            - --eval
            - |
              const received = []
              const answer = (response, status, body) => response.writeHead(status).end(body)
              require('node:http').createServer(async (request, response) => {
                const chunks = await request.toArray()
                if (request.method === 'GET') return answer(response, 200, JSON.stringify(received))
                const known = request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf'
                if (!known) return answer(response, 400)
                received.push(Buffer.concat(chunks).toString('base64'))
                // Enough for a test, and never too much for the pod.
                if (received.length > 2000) received.shift()
                answer(response, 200)
              }).listen(4318)
          ports: [{name: otlp, containerPort: 4318}]
          readinessProbe: {httpGet: {path: /, port: otlp}, periodSeconds: 1}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: collector}
spec:
  selector: {app: collector}
  ports: [{name: otlp, port: 4318}]
";

/// A span, by what is asked of it here.
#[derive(Debug)]
pub(super) struct Span {
    /// The name of the service, such as `acme-gateway`.
    pub(super) service: String,
    /// Its id and its parent's, in hexadecimal digits; the latter is empty where it has none.
    pub(super) id: String,
    pub(super) parent: String,
}

/// Everything that has arrived, in the protocol's form.
pub(super) fn received(site: &Site) -> Result<Vec<Vec<u8>>> {
    let path = format!("/api/v1/namespaces/{}/services/collector:otlp/proxy/", site.namespace);
    let listed = site.cluster.kubectl(["get", "--raw", &path])?;
    let bodies: Vec<String> = serde_json::from_str(&listed).context("the collector does not list what it has")?;
    bodies.iter().map(|body| Ok(STANDARD.decode(body)?)).collect()
}

/// The spans of a trace that have arrived.
pub(super) fn spans_of(site: &Site, trace: &str) -> Result<Vec<Span>> {
    let mut found = Vec::new();
    for body in received(site)? {
        let request = ExportTraceServiceRequest::decode(body.as_slice()).context("no traces of OTLP")?;
        for of_one in request.resource_spans {
            let attributes = of_one.resource.map(|resource| resource.attributes).unwrap_or_default();
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let Some(Value::StringValue(service)) = name.and_then(|name| name.value?.value) else { continue };
            let spans = of_one.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let of_trace = spans.filter(|span| hex::encode(&span.trace_id) == trace);
            found.extend(of_trace.map(|span| Span {
                service: service.clone(),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
            }));
        }
    }
    Ok(found)
}
