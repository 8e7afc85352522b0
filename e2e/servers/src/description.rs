//! What a service says of its routes (`OpenAPI`), against what is checked in and what it answers.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::{Agent, http::Request};

/// One operation of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name, of which there is one.
    pub id: String,
    /// In capitals.
    pub method: String,
    /// With `{names}` for parameters.
    pub path: String,
    /// The service that answers it.
    pub service: String,
    /// Whether it is for everybody, without a token.
    pub is_open: bool,
}

impl Operation {
    /// The status that a service at `url` answers who has no token, and sends `null`. Parameters are ids that nothing has.
    pub fn status_for_strangers(&self, url: &str) -> Result<u16> {
        let request = Request::builder()
            .method(self.method.as_str())
            .uri(format!("{url}{}", self.example()))
            .header("content-type", "application/json")
            .body("null")?;
        let agent: Agent =
            Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build().into();
        Ok(agent.run(request)?.status().as_u16())
    }

    fn example(&self) -> String {
        let example = |segment: &str| {
            if segment.starts_with('{') { "01JDAYB7N8000000000000000A".to_owned() } else { segment.to_owned() }
        };
        self.path.split('/').map(example).collect::<Vec<_>>().join("/")
    }
}

/// Fails unless `document` is what is checked in for `service`, in `docs/reference/openapi`. With `UPDATE_OPENAPI` in the environment it is written
/// anew first.
pub fn is_checked_in(service: &str, document: &Value) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi");
    let path = folder.join(format!("{service}.json"));
    if env::var_os("UPDATE_OPENAPI").is_some() {
        fs::create_dir_all(&folder)?;
        fs::write(&path, serde_json::to_string_pretty(document)? + "\n")?;
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let checked_in: Value = serde_json::from_str(&text).unwrap_or_default();
    ensure!(checked_in == *document, "{} is out of date: run this test with UPDATE_OPENAPI=1", path.display());
    Ok(())
}

/// What a service at `url` says of its routes.
pub fn of(url: &str) -> Result<Value> {
    Ok(ureq::get(format!("{url}/openapi.json")).call()?.body_mut().read_json()?)
}

/// All operations that `document` describes.
pub fn operations(document: &Value) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in methods.as_object().context("no methods")? {
            let id = operation["operationId"].as_str().with_context(|| format!("{method} {path} has no id"))?;
            ensure!(operations.iter().all(|other: &Operation| other.id != id), "two operations are {id}");
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                service: operation["tags"][0].as_str().unwrap_or_default().to_owned(),
                is_open: operation["security"] == json!([]),
            });
        }
    }
    Ok(operations)
}
