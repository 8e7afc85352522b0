//! Policies: what holds for queues whoever declares them, and can be changed while they are in use.
//!
//! A queue that is full rejects what comes (`reject-publish`): its publisher keeps the event in its outbox and tries again, so that
//! nothing is lost and nobody fills the volume. What is delivered too often over a consumer that dies of it becomes a dead letter.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Target;
use super::api::Api;
use crate::provision::Error;

const MEBIBYTE: u64 = 1 << 20;

/// The queues in which events wait for a service: the names of their policies, and how much each may hold, in MiB; so much may each of the
/// queues beside it hold. The smallest default volume has room for all of them at their limits.
const QUEUES: [(&str, [&str; 2], u64, u64); 3] = [
    ("notification.events", ["work", "aside"], 256, 64),
    // Nothing but ids, of accounts that end or have another name.
    ("chat.accounts", ["chat-work", "chat-aside"], 16, 4),
    ("media.accounts", ["media-work", "media-aside"], 16, 4),
];

#[derive(Deserialize, PartialEq)]
struct Policy {
    name: String,
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: String,
    priority: i64,
    definition: Map<String, Value>,
}

impl Policy {
    fn new(name: &str, pattern: String, priority: i64, definition: Value) -> Self {
        let Value::Object(definition) = definition else { unreachable!("a definition is written as an object") };
        Self { name: name.to_owned(), pattern, apply_to: "queues".to_owned(), priority, definition }
    }

    fn body(&self) -> Value {
        json!({
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "priority": self.priority,
            "definition": self.definition,
        })
    }
}

/// One policy alone holds for a queue: of those that match, the one with the highest priority.
fn wanted() -> impl Iterator<Item = Policy> {
    QUEUES.into_iter().flat_map(|(queue, [work, aside], most, most_aside)| {
        let pattern = queue.replace('.', r"\.");
        [
            // Dead letters, and what waits to be tried again.
            Policy::new(
                aside,
                format!(r"^{pattern}\..+$"),
                0,
                json!({
                    "max-length-bytes": most_aside * MEBIBYTE,
                    "overflow": "reject-publish",
                    "dead-letter-strategy": "at-least-once",
                }),
            ),
            Policy::new(
                work,
                format!("^{pattern}$"),
                1,
                json!({
                    "max-length-bytes": most * MEBIBYTE,
                    "overflow": "reject-publish",
                    "delivery-limit": 20,
                    "dead-letter-exchange": format!("{queue}.router"),
                    "dead-letter-routing-key": "dead",
                    "dead-letter-strategy": "at-least-once",
                }),
            ),
        ]
    })
}

/// Makes the policies agree; other people's policies stay.
pub(super) async fn policies(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("policies/{}", target.virtual_host);
    let found: Vec<Policy> = api.get("tell its policies", &path).await?;
    for policy in wanted() {
        if !found.contains(&policy) {
            api.put("change a policy", &format!("{path}/{}", policy.name), &policy.body()).await?;
            changes.push(format!("set policy {}", policy.name));
        }
    }
    Ok(())
}
