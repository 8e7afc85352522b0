//! What servers are told while somebody listens.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::http::Request;

use crate::scenarios::forward::Forward;
use crate::scenarios::people::unique;
use crate::scenarios::watched::Watched;
use crate::scenarios::{Stage, redis};

const EAVESDROPPER: &str = "eavesdropper";
const PASSWORD: &str = "nobody-else-knows";

/// Every command that Redis is given.
pub(super) struct Redis<'a> {
    stage: &'a Stage,
    pod: String,
    listening: Option<Watched>,
}

impl<'a> Redis<'a> {
    pub(super) fn overhear(stage: &'a Stage) -> Result<Self> {
        let pod = redis::master(stage)?;
        let password = format!(">{PASSWORD}");
        redis::ask(stage, &pod, &["ACL", "SETUSER", EAVESDROPPER, "on", &password, "+monitor"])?;
        let login = format!("REDISCLI_AUTH={PASSWORD}");
        let monitor =
            ["exec", &pod, "--container=redis", "--", "env", &login, "redis-cli", "--user", EAVESDROPPER, "MONITOR"];
        let listening = Watched::listen(stage, &monitor)?;
        Ok(Self { stage, pod, listening: Some(listening) })
    }

    pub(super) fn heard(mut self) -> Result<Vec<String>> {
        self.listening.take().context("nobody listens")?.end()
    }
}

impl Drop for Redis<'_> {
    fn drop(&mut self) {
        // That ends its connection, too.
        let _ = redis::ask(self.stage, &self.pod, &["ACL", "DELUSER", EAVESDROPPER]);
    }
}

/// Every event that the broker is sent.
pub(super) struct Broker {
    forward: Forward,
    login: String,
    queue: String,
}

impl Broker {
    pub(super) fn overhear(stage: &Stage) -> Result<Self> {
        let forward = Forward::to(stage, &format!("pod/{}-rabbitmq-0", stage.platform), 15672)?;
        let password = stage.secret(&format!("{}-rabbitmq", stage.platform), "operator-password")?;
        let broker = Self { forward, login: format!("operator:{password}"), queue: unique("overheard") };
        broker.ask("PUT", &format!("queues/chatplatform/{}", broker.queue), &json!({"durable": true}))?;
        let binding = format!("bindings/chatplatform/e/chat.events/q/{}", broker.queue);
        broker.ask("POST", &binding, &json!({"routing_key": "#"}))?;
        Ok(broker)
    }

    /// Bodies and headers of all of them, as JSON.
    pub(super) fn heard(&self) -> Result<String> {
        let order = json!({"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let events = self.ask("POST", &format!("queues/chatplatform/{}/get", self.queue), &order)?;
        ensure!(events.as_array().is_some_and(|events| !events.is_empty()), "it was sent no event");
        Ok(events.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://localhost:{}/api/{path}", self.forward.port))
            .header("authorization", format!("Basic {}", STANDARD.encode(&self.login)))
            .header("content-type", "application/json")
            .body(body.to_string())?;
        let mut answer = ureq::run(request).with_context(|| format!("the broker refuses {method} {path}"))?;
        let text = answer.body_mut().read_to_string()?;
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).context("no JSON") }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.ask("DELETE", &format!("queues/chatplatform/{}", self.queue), &Value::Null);
    }
}
