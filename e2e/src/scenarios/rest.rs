//! REST through the edge, over TLS, trusting the platform's own authority alone.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a request may take, unless who makes it is in a hurry.
const PATIENCE: Duration = Duration::from_secs(30);

/// An address that requests are made to.
pub(crate) struct Rest {
    agent: RefCell<Agent>,
    url: String,
    patience: Duration,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Rest {
    /// `authority` is a certificate in PEM form.
    pub(crate) fn new(url: &str, authority: &str) -> Result<Self> {
        Self::with_patience(url, authority, PATIENCE)
    }

    /// For requests that are given up after `patience`.
    pub(crate) fn with_patience(url: &str, authority: &str, patience: Duration) -> Result<Self> {
        Ok(Self { agent: RefCell::new(agent(authority, patience)?), url: url.to_owned(), patience })
    }

    /// For a server of this machine that speaks without TLS. A redirect is an answer.
    pub(crate) fn unencrypted(url: &str) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(PATIENCE));
        Self { agent: RefCell::new(config.build().into()), url: url.to_owned(), patience: PATIENCE }
    }

    /// Trusts another authority from now on, and the one before no more.
    pub(crate) fn trust(&self, authority: &str) -> Result<()> {
        *self.agent.borrow_mut() = agent(authority, self.patience)?;
        Ok(())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.send("GET", path, &bearer(token), &[])
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer> {
        self.json("POST", path, token, body)
    }

    pub(crate) fn json(&self, method: &str, path: &str, token: &str, body: &Value) -> Result<Answer> {
        let mut headers = bearer(token);
        headers.push(("content-type", "application/json".to_owned()));
        self.send(method, path, &headers, &serde_json::to_vec(body)?)
    }

    /// Any request; `path` begins with a slash.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let agent = self.agent.borrow();
        let sent = if body.is_empty() { agent.run(request.body(())?) } else { agent.run(request.body(body)?) };
        let mut response = sent.with_context(|| format!("{method} {path}"))?;
        let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), bytes })
    }
}

impl Answer {
    /// The body as JSON, where the status is `expected`.
    pub(crate) fn expect(&self, expected: u16) -> Result<Value> {
        self.expect_status(expected)?;
        if self.bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.bytes).context("the body is not JSON")
    }

    /// Insists on a status, whatever the body.
    pub(crate) fn expect_status(&self, expected: u16) -> Result<()> {
        if self.status != expected {
            bail!("answered {} instead of {expected}: {}", self.status, String::from_utf8_lossy(&self.bytes));
        }
        Ok(())
    }

    /// Insists on a problem body with this status and code.
    pub(crate) fn refused(&self, status: u16, code: &str) -> Result<()> {
        let problem = self.expect(status)?;
        let kind = self.header("content-type");
        if !kind.starts_with("application/problem+json") || problem["code"] != code || problem["traceId"].is_null() {
            bail!("not the problem {code} with a trace id, but {kind}: {problem}");
        }
        Ok(())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl AsRef<Self> for Rest {
    fn as_ref(&self) -> &Self {
        self
    }
}

fn agent(authority: &str, patience: Duration) -> Result<Agent> {
    let certificate = Certificate::from_pem(authority.as_bytes()).context("the platform's authority is not PEM")?;
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build();
    let config = Agent::config_builder().tls_config(tls).http_status_as_error(false);
    Ok(config.timeout_global(Some(patience)).build().into())
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    if token.is_empty() { Vec::new() } else { vec![("authorization", format!("Bearer {token}"))] }
}
