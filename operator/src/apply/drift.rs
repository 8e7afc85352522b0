//! Whether an object that is there still has every field that it shall have.

use serde_json::Value;

use crate::api::quantity;

/// Whether `live` has all that `wanted` says. What `live` has besides, defaults of the API server and other people's labels,
/// does not matter.
pub(super) fn agrees(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .all(|(key, wanted)| wanted.is_null() || live.get(key).is_some_and(|live| agrees(wanted, live))),
        (Value::Array(wanted), Value::Array(live)) => agree_in_order(wanted, live),
        (Value::String(wanted), Value::String(live)) => wanted == live || same_quantity(wanted, live),
        _ => wanted == live,
    }
}

/// Lists of objects (containers, ports, variables) may have members of others in between; commands and arguments may not.
fn agree_in_order(wanted: &[Value], live: &[Value]) -> bool {
    if !wanted.iter().all(Value::is_object) {
        return wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| agrees(wanted, live));
    }
    let mut rest = live.iter();
    wanted.iter().all(|wanted| rest.any(|live| agrees(wanted, live)))
}

/// The API server writes amounts in a form of its own: 0.5 as 500m, 1024Mi as 1Gi.
fn same_quantity(wanted: &str, live: &str) -> bool {
    quantity::milli(wanted).is_some_and(|amount| quantity::milli(live) == Some(amount))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::agrees;

    #[test]
    fn what_others_add_is_no_drift() {
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "x", "image": "i"}]}});
        let live = json!({
            "metadata": {"labels": {"a": "1", "team": "blue"}, "uid": "u"},
            "spec": {"containers": [{"name": "sidecar"}, {"name": "x", "image": "i", "terminationMessagePath": "/dev/null"}]},
        });
        assert!(agrees(&wanted, &live));
    }

    #[test]
    fn what_others_change_or_remove_is_drift() {
        let wanted = json!({"spec": {"replicas": 2, "command": ["a", "b"], "ports": [{"port": 1}, {"port": 2}]}});
        for live in [
            json!({"spec": {"replicas": 3, "command": ["a", "b"], "ports": [{"port": 1}, {"port": 2}]}}),
            json!({"spec": {"replicas": 2, "command": ["a"], "ports": [{"port": 1}, {"port": 2}]}}),
            json!({"spec": {"replicas": 2, "command": ["a", "b", "c"], "ports": [{"port": 1}, {"port": 2}]}}),
            json!({"spec": {"replicas": 2, "command": ["a", "b"], "ports": [{"port": 2}]}}),
            json!({"spec": {"command": ["a", "b"], "ports": [{"port": 1}, {"port": 2}]}}),
        ] {
            assert!(!agrees(&wanted, &live), "{live}");
        }
    }

    #[test]
    fn an_amount_in_another_notation_is_no_drift() {
        assert!(agrees(&json!({"cpu": "0.5", "memory": "1024Mi"}), &json!({"cpu": "500m", "memory": "1Gi"})));
        assert!(!agrees(&json!({"cpu": "0.5"}), &json!({"cpu": "600m"})));
    }
}
