//! Kinds that few platforms ask for, and that a cluster may not have. They are read and written without types of their own: one code
//! serves all of them, and none is in memory where nobody asks.

use kube::core::{DynamicObject, TypeMeta};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use super::component::Component;
use super::labels;
use crate::api::{ChatPlatformSpec, ExposureType};
use crate::validate::Platform;

/// A kind that is made only where a document asks for it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Optional {
    /// `Certificate` of cert-manager.
    Certificate,
    /// `Ingress`.
    Ingress,
    /// `HTTPRoute` of the Gateway API.
    HttpRoute,
    /// `PodMonitor` of the Prometheus operator.
    PodMonitor,
    /// `CronJob`.
    CronJob,
}

impl Optional {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Self; 5] = [Self::Certificate, Self::Ingress, Self::HttpRoute, Self::PodMonitor, Self::CronJob];

    /// How the API server knows it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, kind, plural) = match self {
            Self::Certificate => ("cert-manager.io", "Certificate", "certificates"),
            Self::Ingress => ("networking.k8s.io", "Ingress", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
            Self::PodMonitor => ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
            Self::CronJob => ("batch", "CronJob", "cronjobs"),
        };
        ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{group}/v1"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// What every object of the kind says of itself.
    #[must_use]
    pub fn types(self) -> TypeMeta {
        let ApiResource { api_version, kind, .. } = self.resource();
        TypeMeta { api_version, kind }
    }

    /// Several of it, for people.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Certificate => "Certificates",
            Self::Ingress => "Ingresses",
            Self::HttpRoute => "HTTPRoutes",
            Self::PodMonitor => "PodMonitors",
            Self::CronJob => "CronJobs",
        }
    }

    /// The field by which a document asks for it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Certificate => "spec.tls.issuerRef",
            Self::Ingress | Self::HttpRoute => "spec.exposure.type",
            Self::PodMonitor => "spec.monitoring.podMonitor",
            Self::CronJob => "spec.backup",
        }
    }

    /// What helps where the cluster does not have it.
    #[must_use]
    pub fn cure(self) -> &'static str {
        match self {
            Self::Certificate => {
                "install cert-manager (https://cert-manager.io/docs/installation/), or have another certificate by spec.tls"
            }
            Self::Ingress => "choose another type",
            Self::CronJob => "leave the field out",
            Self::HttpRoute => {
                "install the Gateway API (https://gateway-api.sigs.k8s.io/guides/) and a controller for it, or choose another type"
            }
            Self::PodMonitor => {
                "install the Prometheus operator (https://prometheus-operator.dev/docs/getting-started/installation/), or leave the field out"
            }
        }
    }

    /// Whether a document asks for it.
    #[must_use]
    pub fn is_asked_for(self, spec: &ChatPlatformSpec) -> bool {
        let type_ = spec.exposure.as_ref().and_then(|exposure| exposure.type_);
        match self {
            Self::Certificate => spec.tls.as_ref().is_some_and(|tls| tls.issuer_ref.is_some()),
            Self::Ingress => type_ == Some(ExposureType::Ingress),
            Self::HttpRoute => type_ == Some(ExposureType::Gateway),
            Self::PodMonitor => spec.monitoring.as_ref().is_some_and(|monitoring| monitoring.pod_monitor.is_some()),
            Self::CronJob => spec.backup.is_some(),
        }
    }

    /// The object of the edge.
    #[must_use]
    pub(super) fn object(self, platform: &Platform, spec: &Value) -> DynamicObject {
        DynamicObject {
            types: Some(self.types()),
            metadata: labels::metadata(platform, Component::Edge),
            data: json!({ "spec": spec }),
        }
    }
}
