//! Services, in the sense of Kubernetes.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::component::Component;
use super::labels;
use crate::validate::Platform;

/// A port of a Service that leads to the container port of the same name.
#[must_use]
pub fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number,
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

/// A Service with an address of its own.
#[must_use]
pub fn service(platform: &Platform, component: Component, ports: Vec<ServicePort>) -> Service {
    Service {
        metadata: labels::metadata(platform, component),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(labels::selector_labels(platform, component)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A Service that names each pod of a `StatefulSet`. Pods are named before they are ready: members must find each other to become it.
#[must_use]
pub fn headless(platform: &Platform, component: Component, ports: Vec<ServicePort>) -> Service {
    let mut service = service(platform, component, ports);
    if let Some(spec) = &mut service.spec {
        spec.cluster_ip = Some("None".into());
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}
