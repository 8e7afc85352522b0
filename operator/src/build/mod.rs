//! The build step: a [`Platform`] becomes the objects that make it up. Pure: two calls give equal objects.
//!
//! A component has a file of its name; the other files hold the pieces that components are made of.

pub mod auth;
pub mod chat;
pub mod component;
pub mod config;
pub mod container;
pub mod edge;
pub mod gateway;
pub mod images;
pub mod labels;
pub mod media;
pub mod mongodb;
pub mod network;
pub mod nginx;
pub mod notification;
pub mod object_storage;
pub mod probe;
pub mod rabbitmq;
pub mod redis;
pub mod secrets;
pub mod security;
pub mod service;
pub mod volume;
pub mod web;
pub mod workload;

#[cfg(test)]
mod properties;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};

pub use component::Component;

use crate::validate::Platform;

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
    /// Everything else that runs.
    pub deployments: Vec<Deployment>,
    /// Whether they are wanted or there.
    pub state: PhantomData<State>,
}

/// The objects of a platform. The edge's server is among them only once the addresses of what stands behind it are known.
#[must_use]
pub fn build(platform: &Platform) -> Resources<Prepared> {
    let (mongodb_config, mongodb_service, mongodb) = mongodb::build(platform);
    let (redis_config, redis_service, redis) = redis::build(platform);
    let (rabbitmq_config, rabbitmq_service, rabbitmq) = rabbitmq::build(platform);
    let (object_storage_service, object_storage) = object_storage::build(platform);
    let (gateway_service, gateway) = gateway::build(platform);
    let (auth_service, auth) = auth::build(platform);
    let (chat_service, chat) = chat::build(platform);
    let (media_service, media) = media::build(platform);
    let (notification_service, notification) = notification::build(platform);
    let (web_config, web_service, web) = web::build(platform);
    let edge_service = edge::service(platform);
    let (edge_config, edge) = platform.upstreams.map(|upstreams| edge::server(platform, &upstreams)).unzip();
    Resources {
        secrets: secrets::build(platform),
        config_maps: [mongodb_config, redis_config, rabbitmq_config, service::jwks(platform), web_config]
            .into_iter()
            .chain(edge_config)
            .collect(),
        services: vec![
            mongodb_service,
            redis_service,
            rabbitmq_service,
            object_storage_service,
            gateway_service,
            auth_service,
            chat_service,
            media_service,
            notification_service,
            web_service,
            edge_service,
        ],
        stateful_sets: vec![mongodb, redis, rabbitmq, object_storage],
        deployments: [gateway, auth, chat, media, notification, web].into_iter().chain(edge).collect(),
        state: PhantomData,
    }
}
