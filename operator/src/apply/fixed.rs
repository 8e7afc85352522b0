//! Fields of a `StatefulSet` that the API server lets nobody change. Where one shall be another, the set is deleted without its pods and
//! made anew; the new one adopts the pods, and as its template is the same, none restarts.

use serde_json::Value;

use super::drift;

/// What may not change (API reference, "updates to statefulset spec for fields other than ... are forbidden").
const FIXED: [&str; 4] =
    ["/spec/selector", "/spec/serviceName", "/spec/podManagementPolicy", "/spec/volumeClaimTemplates"];

/// Whether `wanted` says something else than `live` where a `StatefulSet` cannot be changed.
pub(super) fn differs(wanted: &Value, live: &Value) -> bool {
    // Types from the API do not carry their kind in each object; only a StatefulSet has claim templates.
    wanted.pointer("/spec/volumeClaimTemplates").is_some()
        && FIXED.iter().any(|field| match (wanted.pointer(field), live.pointer(field)) {
            (Some(wanted), Some(live)) => !drift::agrees(wanted, live),
            (Some(_), None) => true,
            (None, _) => false,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differs;

    fn set(size: &str, replicas: i32) -> serde_json::Value {
        let claim = json!({"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": size}}}});
        json!({"spec": {"serviceName": "a-redis", "replicas": replicas, "volumeClaimTemplates": [claim]}})
    }

    #[test]
    fn a_larger_volume_needs_a_new_set_and_more_replicas_do_not() {
        assert!(differs(&set("2Gi", 1), &set("1Gi", 1)));
        assert!(!differs(&set("1Gi", 3), &set("1Gi", 1)));
    }

    #[test]
    fn the_same_size_in_another_notation_is_no_difference() {
        assert!(!differs(&set("1024Mi", 1), &set("1Gi", 1)));
    }

    #[test]
    fn what_is_no_stateful_set_can_always_be_changed() {
        let wanted = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}});
        assert!(!differs(&wanted, &json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}})));
    }
}
