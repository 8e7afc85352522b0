//! `OpenAPI` documents of several services as one.

use serde_json::{Map, Value, json};

/// Why documents cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// One is no JSON.
    #[error("the document {0} is no JSON")]
    NoJson(usize, #[source] serde_json::Error),
    /// One lacks a part.
    #[error("the document {0} has no {1}")]
    Missing(usize, &'static str),
    /// Two say different things of one name.
    #[error("two documents differ in {0} {1}")]
    Differ(&'static str, String),
}

/// Places in a document whose entries are put together.
const PARTS: [(&str, &str); 4] = [
    ("path", "/paths"),
    ("schema", "/components/schemas"),
    ("response", "/components/responses"),
    ("security scheme", "/components/securitySchemes"),
];

/// One document of all paths and components. What several have under one name has to be the same in all.
pub fn merged(documents: &[&str]) -> Result<Value, MergeError> {
    let mut parts = PARTS.map(|_| Map::new());
    let mut tags = Vec::new();
    let mut version = Value::Null;
    for (index, text) in documents.iter().enumerate() {
        let document: Value = serde_json::from_str(text).map_err(|error| MergeError::NoJson(index, error))?;
        for ((what, place), into) in PARTS.iter().zip(&mut parts) {
            let entries = document.pointer(place).and_then(Value::as_object);
            add(entries.ok_or(MergeError::Missing(index, place))?, into, what)?;
        }
        tags.extend(described_tag(&document));
        version = document["info"]["version"].clone();
    }
    let [paths, schemas, responses, security_schemes] = parts;
    Ok(json!({
        "openapi": "3.1.0",
        "info": {"title": "ChatPlatform", "version": version},
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas, "responses": responses, "securitySchemes": security_schemes},
    }))
}

fn add(entries: &Map<String, Value>, into: &mut Map<String, Value>, what: &'static str) -> Result<(), MergeError> {
    for (name, entry) in entries {
        match into.get(name) {
            Some(other) if other != entry => return Err(MergeError::Differ(what, name.clone())),
            Some(_) => {}
            None => {
                into.insert(name.clone(), entry.clone());
            }
        }
    }
    Ok(())
}

/// The tag of a service's operations, described by the service's title.
fn described_tag(document: &Value) -> Option<Value> {
    let operation = document["paths"].as_object()?.values().next()?.as_object()?.values().next()?;
    Some(json!({"name": operation["tags"][0], "description": document["info"]["title"]}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use contract::claims::Role;
    use http::Method;
    use servers::description;

    use super::*;
    use crate::{
        documentation::SERVICES,
        routes::{self, Found},
    };

    #[test]
    fn the_documents_of_the_services_do_not_contradict_each_other() {
        let document = merged(&SERVICES).unwrap();
        let tags: Vec<&str> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        assert_eq!(tags, ["auth", "chat", "media", "notification"]);
        // No two have one id.
        assert!(description::operations(&document).unwrap().len() > 60);
    }

    #[test]
    fn the_table_of_routes_leads_to_every_operation_and_is_as_open_as_is_said() {
        for operation in description::operations(&merged(&SERVICES).unwrap()).unwrap() {
            let method: Method = operation.method.parse().unwrap();
            let Found::Route(route) = routes::find(&method, &operation.path) else {
                panic!("{operation:?} leads nowhere")
            };
            assert!(
                matches!(route.answerer, routes::Answerer::Service(upstream) if upstream.name() == operation.service),
                "{operation:?} leads elsewhere"
            );
            assert_eq!(route.access.allows(None), operation.is_open, "{operation:?}");
            assert!(route.access.allows(Some(&[Role::User, Role::Admin])), "{operation:?}");
        }
    }

    #[test]
    fn what_two_say_of_one_name_has_to_be_the_same() {
        let with = |kind: &str| {
            let schemas = json!({"Seed": {"type": kind}});
            json!({"info": {}, "paths": {}, "components": {"schemas": schemas, "responses": {}, "securitySchemes": {}}})
                .to_string()
        };
        assert!(merged(&[&with("string"), &with("string")]).is_ok());
        let error = merged(&[&with("string"), &with("number")]).unwrap_err();
        assert_eq!(error.to_string(), "two documents differ in schema Seed");
    }
}
