//! Laying the environment over the defaults, fault by fault.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{ConfigError, Fault};

const PREFIX: &str = "CHATPLATFORM_";
const NESTING: &str = "__";

/// The key (`section.key`) that a variable overrides, if it is one of ours. Without `__` it is not: Kubernetes itself
/// makes such variables for a Service of that name.
pub(super) fn key(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(PREFIX)?;
    rest.contains(NESTING).then(|| rest.to_ascii_lowercase().replace(NESTING, "."))
}

/// The variable that overrides `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', NESTING))
}

/// Reads `S` from the defaults and the overrides. An override that cannot be read is taken out and listed, and the rest
/// is read again, so that one fault does not hide the next.
pub(super) fn read<S: DeserializeOwned>(
    defaults: &Table,
    mut overrides: BTreeMap<String, String>,
) -> Result<(S, Vec<Fault>), ConfigError> {
    let mut faults = Vec::new();
    let mut texts = BTreeSet::new();
    loop {
        let mut table = defaults.clone();
        let mut unreadable = Vec::new();
        for (key, text) in &overrides {
            if let Err(message) = put(&mut table, key, text, texts.contains(key)) {
                unreadable.push(Fault::new(key, message));
            }
        }
        if !unreadable.is_empty() {
            overrides.retain(|key, _| unreadable.iter().all(|fault| fault.key != *key));
            faults.extend(unreadable);
            continue;
        }
        let (path, message) = match serde_path_to_error::deserialize(Value::Table(table)) {
            Ok(settings) => return Ok((settings, faults)),
            Err(error) => (error.path().to_string(), error.inner().message().to_owned()),
        };
        let Some(culprits) = culprits(&overrides, &path, &message) else {
            return Err(ConfigError::Defaults(format!("{path}: {message}")));
        };
        // What was guessed to be a number may be a text that looks like one.
        if let [culprit] = &culprits[..]
            && *culprit == path
            && texts.insert(culprit.clone())
        {
            continue;
        }
        // A whole section is at fault for lack of something: its settings are no faults one by one.
        let named = if culprits.len() == 1 { culprits[0].clone() } else { path };
        faults.push(Fault::new(named, message.trim()));
        overrides.retain(|key, _| !culprits.contains(key));
    }
}

/// The overrides to blame for an error at `path`: the one that stands there or names the unknown field, else all below it.
fn culprits(overrides: &BTreeMap<String, String>, path: &str, message: &str) -> Option<Vec<String>> {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let at = |prefix: &str| {
        let below = format!("{prefix}.");
        overrides
            .keys()
            .filter(|key| prefix.is_empty() || **key == prefix || key.starts_with(&below))
            .cloned()
            .collect::<Vec<_>>()
    };
    // Within an array the path goes on with an index that no override has.
    let mut place = if path == "." { "" } else { path };
    if let Some(index) = place.find('[') {
        place = &place[..index];
    }
    let mut blamed = at(place);
    if let Some(field) = unknown {
        let named: Vec<_> = blamed.iter().filter(|key| key.split('.').any(|part| part == field)).cloned().collect();
        if !named.is_empty() {
            blamed = named;
        }
    }
    if blamed.iter().any(|key| key == place) {
        blamed.retain(|key| key == place);
    }
    (!blamed.is_empty()).then_some(blamed)
}

/// Puts `text` at `key`, in the type that the default has there; where there is none, as a text if it `is_text`.
fn put(table: &mut Table, key: &str, text: &str, is_text: bool) -> Result<(), String> {
    let mut place = table;
    let mut parts: Vec<&str> = key.split('.').collect();
    let Some(last) = parts.pop() else { return Ok(()) };
    for part in parts {
        place = place
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("{part} is a value and has nothing below it"))?;
    }
    let value = match place.get(last) {
        Some(like) => typed(like, text)?,
        None if is_text => Value::String(text.to_owned()),
        None => guessed(text),
    };
    place.insert(last.to_owned(), value);
    Ok(())
}

fn typed(like: &Value, text: &str) -> Result<Value, String> {
    let wrong = |what: &str| format!("{text:?} is not {what}");
    Ok(match like {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Float(_) => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::Datetime(_) => Value::Datetime(text.parse().map_err(|_| wrong("a date or time"))?),
        Value::Array(items) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let like = items.first();
            Value::Array(
                parts
                    .map(|part| like.map_or_else(|| Ok(guessed(part)), |like| typed(like, part)))
                    .collect::<Result<_, _>>()?,
            )
        }
        Value::Table(_) => return Err("this is a section; set what is in it one by one".to_owned()),
    })
}

/// Without a default to go by: a number or a truth value if it reads as one, else a text.
fn guessed(text: &str) -> Value {
    let number = text.parse().map(Value::Integer).ok();
    let truth = text.parse().map(Value::Boolean).ok();
    number.or(truth).unwrap_or_else(|| Value::String(text.to_owned()))
}
