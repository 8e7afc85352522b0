//! The way to the edge by a controller that terminates TLS: an Ingress, or an `HTTPRoute` of the Gateway API.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::component::Component;
use super::optional::Optional;
use crate::api::{ExposureType, ParentRef};
use crate::secrets::EDGE_TLS;
use crate::validate::Platform;

/// The port of the edge's Service that takes requests from the controller. It is there only while there is one: 80 sends people to https.
pub(super) const PORT: i32 = 8080;

/// The Ingress of a platform, if it is exposed by one.
#[must_use]
pub fn ingress(platform: &Platform) -> Option<DynamicObject> {
    if platform.exposure.type_ != ExposureType::Ingress {
        return None;
    }
    let backend = json!({"service": {"name": edge(platform), "port": {"number": PORT}}});
    let mut spec = json!({
        // Of the Secret that the edge mounts: what is in it was looked through before, wherever it comes from.
        "tls": [{"hosts": [platform.host], "secretName": platform.names.object(EDGE_TLS)}],
        "rules": [{
            "host": platform.host,
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }],
    });
    if let Some(class) = &platform.exposure.class_name {
        spec["ingressClassName"] = json!(class);
    }
    Some(annotated(platform, Optional::Ingress.object(platform, &spec)))
}

/// The route of a platform, if it is exposed by a Gateway.
#[must_use]
pub fn http_route(platform: &Platform) -> Option<DynamicObject> {
    if platform.exposure.type_ != ExposureType::Gateway {
        return None;
    }
    let parents: Vec<Value> = platform.exposure.parents.iter().map(parent).collect();
    let spec = json!({
        "parentRefs": parents,
        "hostnames": [platform.host],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"name": edge(platform), "port": PORT}],
        }],
    });
    Some(annotated(platform, Optional::HttpRoute.object(platform, &spec)))
}

fn parent(parent: &ParentRef) -> Value {
    let mut reference = json!({"name": parent.name});
    let fields = [
        ("namespace", json!(parent.namespace)),
        ("sectionName", json!(parent.section_name)),
        ("port", json!(parent.port)),
    ];
    for (field, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
        reference[field] = value;
    }
    reference
}

fn annotated(platform: &Platform, mut object: DynamicObject) -> DynamicObject {
    let annotations = &platform.exposure.annotations;
    object.metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    object
}

fn edge(platform: &Platform) -> String {
    platform.names.object(Component::Edge.name())
}
