//! What keeps people out although the edge runs: a certificate that is not there yet, a route that no Gateway takes.

use kube::core::DynamicObject;
use serde_json::Value;

use super::Found;
use crate::reason::Reason;
use crate::validate::TlsSource;

/// The first thing that is in the way, with its reason.
pub(super) fn trouble(found: &Found<'_>) -> Option<(Reason, String)> {
    if let TlsSource::Issued { waits: Some(waits), .. } = &found.platform.tls {
        return Some((Reason::CertificateNotReady, waits.clone()));
    }
    let refused = found.applied.http_routes.iter().find_map(refusal)?;
    Some((Reason::RouteNotAccepted, refused))
}

/// Why a route leads nowhere. Every controller tells what it has made of a route (`HTTPRouteStatus` of the Gateway API).
fn refusal(route: &DynamicObject) -> Option<String> {
    let parents = route.data.pointer("/status/parents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if parents.is_empty() {
        return Some(
            "no Gateway has taken the HTTPRoute: check spec.exposure.parentRefs and that their controller runs".into(),
        );
    }
    parents.iter().find_map(|parent| {
        let conditions = parent["conditions"].as_array()?;
        let is_bad = |condition: &&Value| {
            condition["status"] == "False" && (condition["type"] == "Accepted" || condition["type"] == "ResolvedRefs")
        };
        let bad = conditions.iter().find(is_bad)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (gateway, reason, message) =
            (text(&parent["parentRef"]["name"]), text(&bad["reason"]), text(&bad["message"]));
        Some(format!("Gateway {gateway} does not take the HTTPRoute: {reason}: {message}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::Optional;

    fn refusal_of(status: &Value) -> Option<String> {
        refusal(&DynamicObject::new("acme-edge", &Optional::HttpRoute.resource()).data(json!({ "status": status })))
    }

    fn parent(conditions: &Value) -> Value {
        json!({"parents": [{"parentRef": {"name": "public"}, "controllerName": "a/b", "conditions": conditions}]})
    }

    #[test]
    fn a_route_leads_somewhere_once_every_gateway_has_taken_it() {
        assert!(refusal_of(&json!({})).is_some_and(|said| said.contains("spec.exposure.parentRefs")));
        let good = json!([{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]);
        assert_eq!(refusal_of(&parent(&good)), None);
        let bad = json!([{"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners", "message": "no"}]);
        assert_eq!(
            refusal_of(&parent(&bad)).as_deref(),
            Some("Gateway public does not take the HTTPRoute: NotAllowedByListeners: no")
        );
    }
}
