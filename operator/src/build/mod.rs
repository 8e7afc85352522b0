//! The build step: a [`Platform`] becomes the objects that make it up. Pure: two calls give equal objects.
//!
//! A component has a file of its name; the other files hold the pieces that components are made of.

pub mod auth;
pub mod autoscaler;
pub mod backup;
pub mod certificate;
pub mod chat;
pub mod component;
pub mod config;
pub mod container;
pub mod disruption;
pub mod edge;
pub mod exposure;
pub mod gateway;
pub mod images;
pub mod labels;
pub mod media;
pub mod migration;
pub mod mongodb;
mod monitor;
pub mod network;
pub mod network_policy;
pub mod nginx;
pub mod notification;
pub mod object_storage;
pub mod optional;
pub mod overrides;
pub mod probe;
pub mod rabbitmq;
pub mod redis;
pub mod secrets;
pub mod security;
pub mod service;
pub mod stop;
pub mod volume;
pub mod web;
pub mod workload;

#[cfg(test)]
pub(crate) mod properties;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DynamicObject;

pub use autoscaler::HorizontalPodAutoscaler;
pub use component::Component;
pub use optional::Optional;

use crate::validate::{ObjectStorage, Platform};

/// Objects as they shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepared;

/// Objects as the API server has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Applied;

/// Every object of a platform, a field per kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources<State> {
    /// Credentials, keys and certificates.
    pub secrets: Vec<Secret>,
    /// Configuration files.
    pub config_maps: Vec<ConfigMap>,
    /// Names and addresses within the cluster.
    pub services: Vec<Service>,
    /// Servers that hold data.
    pub stateful_sets: Vec<StatefulSet>,
    /// What runs once, and comes to an end.
    pub jobs: Vec<Job>,
    /// Everything else that runs.
    pub deployments: Vec<Deployment>,
    /// How many pods run where that depends on what they do.
    pub autoscalers: Vec<HorizontalPodAutoscaler>,
    /// How many pods may be taken away at once when nodes are emptied.
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// Who may connect to whom.
    pub network_policies: Vec<NetworkPolicy>,
    /// Certificates that cert-manager is asked for.
    pub certificates: Vec<DynamicObject>,
    /// The way to the edge by an ingress controller.
    pub ingresses: Vec<DynamicObject>,
    /// The way to the edge by a Gateway.
    pub http_routes: Vec<DynamicObject>,
    /// By which a Prometheus finds the pods.
    pub pod_monitors: Vec<DynamicObject>,
    /// What runs at certain times, and comes to an end.
    pub cron_jobs: Vec<DynamicObject>,
    /// Whether they are wanted or there.
    pub state: PhantomData<State>,
}

/// The objects of a platform. The edge's server is among them only once the addresses of what stands behind it are known.
#[must_use]
pub fn build(platform: &Platform) -> Resources<Prepared> {
    let mongodb = platform.mongodb.managed().map(|mongodb| mongodb::build(platform, mongodb));
    let redis = platform.redis.managed().map(|redis| redis::build(platform, redis));
    let rabbitmq = platform.rabbitmq.managed().map(|rabbitmq| rabbitmq::build(platform, rabbitmq));
    let mut config_maps = vec![service::jwks(platform)];
    let mut services = Vec::new();
    let mut stateful_sets = Vec::new();
    for (files, service, set) in [mongodb, redis, rabbitmq].into_iter().flatten() {
        config_maps.push(files);
        services.push(service);
        stateful_sets.push(set);
    }
    if let ObjectStorage::Managed(server) = &platform.object_storage {
        let (service, set) = object_storage::build(platform, server);
        services.push(service);
        stateful_sets.push(set);
    }
    let mut deployments = Vec::new();
    for build in [gateway::build, auth::build, chat::build, media::build, notification::build] {
        let (service, deployment) = build(platform);
        services.push(service);
        deployments.push(deployment);
    }
    services.extend(gateway::endpoints(platform));
    let (web_config, web_service, web) = web::build(platform);
    config_maps.push(web_config);
    services.extend([web_service, edge::service(platform)]);
    deployments.push(web);
    if let Some(upstreams) = &platform.upstreams {
        let (edge_config, edge) = edge::server(platform, upstreams);
        config_maps.push(edge_config);
        deployments.push(edge);
    }
    let disruption_budgets = disruption::budgets(platform, &stateful_sets, &deployments);
    Resources {
        secrets: secrets::build(platform),
        config_maps,
        services,
        stateful_sets,
        jobs: migration::build(platform),
        autoscalers: autoscaler::build(platform, &deployments),
        deployments,
        disruption_budgets,
        network_policies: network_policy::build(platform),
        certificates: certificate::build(platform).into_iter().collect(),
        ingresses: exposure::ingress(platform).into_iter().collect(),
        http_routes: exposure::http_route(platform).into_iter().collect(),
        pod_monitors: monitor::build(platform).into_iter().collect(),
        cron_jobs: backup::build(platform),
        state: PhantomData,
    }
}
