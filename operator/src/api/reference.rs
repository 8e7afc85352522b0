//! The reference page of the resource, `docs/reference/chatplatform.md`: the comments that `kubectl explain` shows, a table for each
//! object. Objects that are alike, such as the CPU and memory of every component, share one.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use super::ChatPlatform;

const HEAD: &str = "\
<!-- Generated from operator/src/api by `cargo run -p operator --bin crdgen`; do not edit. -->
# ChatPlatform

`chatplatform.dev/v1alpha1`, namespaced, short name `chatp`. `kubectl explain chatplatform.spec.mongodb.members` shows the same texts.

A field that is left out has its default. Quantities are written as Kubernetes writes them: `500m`, `2`, `256Mi`, `10Gi`. What is out of
bounds is refused by the API server with a message that names the field, the value and the cure; what was stored before a rule was there is
reported by the condition `SpecValid`, and nothing that runs is touched. A name of a platform has at most 32 lower-case letters, digits and
dashes, and begins with a letter.
";

/// Objects whose fields are Kubernetes' own, and explained by it.
const OF_KUBERNETES: [&str; 2] = ["affinity", "labelSelector"];

const TABLE: &str = "\n| field | type | default | description |\n|---|---|---|---|\n";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let definition = ChatPlatform::crd();
    let schema = definition.spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
    let Some(schema) = schema else { return page };
    let objects = objects(&schema);
    for object in &objects {
        let _ = write!(page, "\n## {}\n", object.heading());
        if object.paths.len() > 1 {
            let paths: Vec<String> = object.paths.iter().map(|path| format!("`{path}`")).collect();
            let _ = write!(page, "\n{}\n", paths.join(", "));
        }
        page.push_str(TABLE);
        for (name, field) in object.fields {
            let _ = writeln!(page, "{}", row(object, name, field, &objects));
        }
        if object.paths[0] == "spec" {
            page.push_str(&transitions(&schema));
        }
    }
    page
}

/// An object of the schema, and where it stands.
struct Object<'a> {
    paths: Vec<String>,
    fields: &'a std::collections::BTreeMap<String, JSONSchemaProps>,
    required: &'a [String],
}

impl Object<'_> {
    /// Its path, or what it is called in all the places where it stands.
    fn heading(&self) -> String {
        let [path] = self.paths.as_slice() else {
            let mut names: Vec<&str> = Vec::new();
            for name in self.paths.iter().filter_map(|path| path.rsplit('.').next()) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            return names.join(", ");
        };
        path.clone()
    }

    /// The link to its heading, as GitHub and mdBook make it.
    fn anchor(&self) -> String {
        let kept = self.heading().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    }
}

/// All objects below the root, each before those within it.
fn objects(root: &JSONSchemaProps) -> Vec<Object<'_>> {
    let mut found: Vec<Object<'_>> = Vec::new();
    let mut ahead: Vec<(String, &JSONSchemaProps)> = children("", root).collect();
    let mut next = 0;
    while let Some((path, schema)) = ahead.get(next).cloned() {
        next += 1;
        let Some(fields) = &schema.properties else { continue };
        if path.rsplit('.').next().is_some_and(|name| OF_KUBERNETES.contains(&name)) {
            continue;
        }
        let required = schema.required.as_deref().unwrap_or_default();
        let within: Vec<_> = children(&path, schema).collect();
        ahead.splice(next..next, within);
        match found.iter_mut().find(|object| object.fields == fields && object.required == required) {
            Some(same) => same.paths.push(path),
            None => found.push(Object { paths: vec![path], fields, required }),
        }
    }
    found
}

fn children<'a>(path: &str, schema: &'a JSONSchemaProps) -> impl Iterator<Item = (String, &'a JSONSchemaProps)> {
    let path = path.to_owned();
    schema.properties.iter().flatten().map(move |(name, field)| {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match &field.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => (format!("{below}[]"), item.as_ref()),
            _ => (below, field),
        }
    })
}

fn row(object: &Object<'_>, name: &str, field: &JSONSchemaProps, objects: &[Object<'_>]) -> String {
    let text = field.description.as_deref().unwrap_or_default().replace('\n', " ");
    let (default, text) = split(&text);
    let default = if object.required.iter().any(|required| required == name) { "required".to_owned() } else { default };
    let path = format!("{}.{name}", object.paths[0]);
    format!("| `{name}` | {} | {} | {} |", kind(field, &path, objects), escaped(&default), escaped(&text))
}

/// Takes `Default: ….` out of a comment.
fn split(text: &str) -> (String, String) {
    let Some((before, after)) = text.split_once("Default: ") else { return (String::new(), text.to_owned()) };
    let (default, rest) = after.split_once(". ").unwrap_or((after.trim_end_matches('.'), ""));
    (default.to_owned(), format!("{before}{rest}").trim_end().to_owned())
}

/// The type of a field; an object leads to its own table.
fn kind(field: &JSONSchemaProps, path: &str, objects: &[Object<'_>]) -> String {
    if let Some(values) = &field.enum_ {
        let words = values.iter().filter_map(|value| value.0.as_str()).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    if field.x_kubernetes_int_or_string == Some(true) {
        return "quantity".to_owned();
    }
    let link = |path: &str| {
        let object = objects.iter().find(|object| object.paths.iter().any(|candidate| candidate == path));
        object.map_or_else(|| "object".to_owned(), |object| format!("[object](#{})", object.anchor()))
    };
    match (field.type_.as_deref(), &field.items, &field.additional_properties) {
        (Some("array"), Some(JSONSchemaPropsOrArray::Schema(item)), _) if item.properties.is_some() => {
            format!("list of {}", link(&format!("{path}[]")))
        }
        (Some("object"), _, Some(JSONSchemaPropsOrBool::Schema(value))) => {
            format!("map of {}", value.type_.as_deref().unwrap_or("anything"))
        }
        (Some("object"), ..) if field.properties.is_some() => link(path),
        (Some(type_), ..) => type_.to_owned(),
        (None, ..) => String::new(),
    }
}

/// What the rules of the whole document say, most of which is about changes.
fn transitions(root: &JSONSchemaProps) -> String {
    let mut text = "\nWhat is refused of a change:\n\n".to_owned();
    for message in root.x_kubernetes_validations.iter().flatten().filter_map(|rule| rule.message.as_deref()) {
        let _ = writeln!(text, "- {}", escaped(message));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_the_types_give() {
        let kept = include_str!("../../../docs/reference/chatplatform.md");
        assert!(kept == page(), "docs/reference/chatplatform.md is stale: run `cargo run -p operator --bin crdgen`");
    }

    #[test]
    fn a_default_is_taken_out_of_its_comment() {
        let (default, text) = split("Version, such as 6.0.5. Default: 6.0.5. Change: members restart.");
        assert_eq!((default.as_str(), text.as_str()), ("6.0.5", "Version, such as 6.0.5. Change: members restart."));
        assert_eq!(split("Size. Default: 2Gi."), ("2Gi".to_owned(), "Size.".to_owned()));
        assert_eq!(split("Name."), (String::new(), "Name.".to_owned()));
    }

    #[test]
    fn every_field_of_the_spec_says_what_it_is_and_its_default() {
        let definition = ChatPlatform::crd();
        let schema = definition.spec.versions[0].schema.clone().and_then(|schema| schema.open_api_v3_schema);
        let schema = schema.unwrap_or_default();
        let mut silent = Vec::new();
        for object in objects(&schema).iter().filter(|object| object.paths[0].starts_with("spec")) {
            for (name, field) in object.fields {
                let text = field.description.as_deref().unwrap_or_default();
                if text.is_empty() || !(text.contains("Default: ") || object.required.contains(name)) {
                    silent.push(format!("{}.{name}: {text}", object.paths[0]));
                }
            }
        }
        assert!(silent.is_empty(), "{silent:#?}");
    }
}
