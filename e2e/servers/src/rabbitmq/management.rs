//! The little that is needed of `RabbitMQ`'s management API.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use ureq::Agent;

use super::{PASSWORD, USER};

#[derive(Clone)]
pub(super) struct Management {
    url: String,
    agent: Agent,
    authorization: String,
}

impl Management {
    pub(super) fn new(url: String) -> Self {
        let agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).build().into();
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
        Self { url, agent, authorization }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn get(&self, path: &str) -> Result<()> {
        let request = self.agent.get(format!("{}{path}", self.url));
        request.header("authorization", &self.authorization).call().with_context(|| format!("GET {path}"))?;
        Ok(())
    }

    pub(super) fn read(&self, path: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("authorization", &self.authorization);
        request.call().with_context(|| format!("GET {path}"))?.body_mut().read_json().context("no JSON")
    }

    /// Makes a virtual host and gives `user` all rights in it.
    pub(super) fn create_virtual_host(&self, name: &str, user: &str) -> Result<()> {
        self.put(&format!("/api/vhosts/{name}"), &json!({}))?;
        let everything = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.put(&format!("/api/permissions/{name}/{user}"), &everything)
    }

    /// Makes a user who may do everything in a virtual host.
    pub(super) fn add_user(&self, user: &str, password: &str, virtual_host: &str) -> Result<()> {
        self.put(&format!("/api/users/{user}"), &json!({"password": password, "tags": ""}))?;
        let everything = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.put(&format!("/api/permissions/{virtual_host}/{user}"), &everything)
    }

    pub(super) fn remove_user(&self, user: &str) -> Result<()> {
        let path = format!("/api/users/{user}");
        let request = self.agent.delete(format!("{}{path}", self.url)).header("authorization", &self.authorization);
        request.call().with_context(|| format!("DELETE {path}"))?;
        Ok(())
    }

    fn put(&self, path: &str, body: &Value) -> Result<()> {
        let request = self.agent.put(format!("{}{path}", self.url));
        request.header("authorization", &self.authorization).send_json(body).with_context(|| format!("PUT {path}"))?;
        Ok(())
    }
}
