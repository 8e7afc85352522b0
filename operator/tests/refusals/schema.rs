//! The structure that the generated definition asks for: which fields there are, of which types and words. What is compared by rules
//! in CEL is for an API server.

use kube::CustomResourceExt as _;
use operator::api::ChatPlatform;
use serde_json::Value;

/// The schema of the resource, as the definition has it.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn generated() -> Self {
        let definition = serde_json::to_value(ChatPlatform::crd()).unwrap();
        let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        // Of every object; the API server checks them by itself.
        for (name, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
            schema["properties"][name] =
                serde_json::json!({"type": kind, "x-kubernetes-preserve-unknown-fields": true});
        }
        Self(schema)
    }

    /// The fields that are not as they should be.
    pub(crate) fn faults(&self, document: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        check(&self.0, document, "", &mut faults);
        faults
    }
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let has_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") if schema["format"] == "int32" => {
            value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
        }
        Some("integer") => value.is_i64(),
        _ => schema["x-kubernetes-int-or-string"] == true && (value.is_i64() || value.is_string()),
    };
    let is_allowed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !has_type || !is_allowed {
        faults.push(path.to_owned());
        return;
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{place}]"), faults);
    }
    let Some(fields) = value.as_object() else { return };
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, field) in fields {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(known), _) | (None, Some(known)) => check(known, field, &below(name), faults),
            (None, None) if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
            (None, None) => faults.push(below(name)),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(below(name));
        }
    }
}
