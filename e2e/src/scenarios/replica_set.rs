//! What the members of `MongoDB`'s replica set say of it themselves.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Stage;
use super::faults::{name_of, pods_of};
use super::forward::{Forward, Login};
use super::wait::until;
use crate::command::Run;

/// The component, its container and its port.
pub(crate) const COMPONENT: &str = "mongodb";
pub(crate) const CONTAINER: &str = "mongod";
pub(crate) const PORT: u16 = 27017;

/// An election takes seconds.
const PRIMARY_WITHIN: Duration = Duration::from_secs(30);

/// The set as one of its members sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct View {
    /// `host:port` of the primary.
    primary: Option<String>,
    /// `host:port` of every member.
    hosts: Vec<String>,
}

impl View {
    /// Asks the first member that answers.
    pub(crate) fn take(stage: &Stage) -> Result<Self> {
        let login = Login::mongodb(stage, "chat")?;
        let mut fault = None;
        for pod in pods_of(stage, COMPONENT)?.iter().filter(|pod| is_ready(pod)) {
            match Self::of(stage, &login, name_of(pod)?) {
                Ok(view) => return Ok(view),
                Err(error) => fault = Some(error),
            }
        }
        Err(fault.context("no member is ready")?)
    }

    fn of(stage: &Stage, login: &Login, pod: &str) -> Result<Self> {
        let forward = Forward::to(stage, &format!("pod/{pod}"), PORT)?;
        let order = json!({"uri": login.to_one(forward.port)?});
        let answer = Run::new("node").arg("hello.mjs").in_directory(stage.packages.folder()).input(order.to_string());
        serde_json::from_str(&answer.output()?).context("hello.mjs answers nonsense")
    }

    /// The names of the members' pods.
    pub(crate) fn members(&self) -> Vec<&str> {
        self.hosts.iter().map(|host| pod_of(host)).collect()
    }
}

/// The name of the primary's pod, once there is a primary.
pub(crate) fn primary(stage: &Stage) -> Result<String> {
    until("a primary", PRIMARY_WITHIN, || {
        let view = View::take(stage)?;
        let primary = view.primary.as_deref().with_context(|| format!("there is none: {view:?}"))?;
        Ok(pod_of(primary).to_owned())
    })
}

/// The pods of the secondaries and the one of the primary.
pub(crate) fn secondaries_and_primary(stage: &Stage) -> Result<(Vec<Value>, Value)> {
    let primary = primary(stage)?;
    let (mut first, secondaries): (Vec<Value>, Vec<Value>) =
        pods_of(stage, COMPONENT)?.into_iter().partition(|pod| pod["metadata"]["name"] == primary.as_str());
    ensure!(!secondaries.is_empty(), "{primary} has no secondaries");
    Ok((secondaries, first.pop().with_context(|| format!("the primary {primary} is no pod of the platform"))?))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// `acme-mongodb-1.acme-mongodb.chat.svc:27017` is the pod `acme-mongodb-1`.
fn pod_of(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_are_known_by_their_pods() {
        let view = r#"{"primary": "a-1.a.n.svc:27017", "hosts": ["a-0.a.n.svc:27017", "a-1.a.n.svc:27017"]}"#;
        let view: View = serde_json::from_str(view).unwrap();
        assert_eq!(view.members(), ["a-0", "a-1"]);
        assert_eq!(view.primary.as_deref().map(pod_of), Some("a-1"));
        assert!(serde_json::from_str::<View>(r#"{"hosts": []}"#).unwrap().primary.is_none());
    }
}
