//! Who connects to whom, and on which ports: the one table that all policies are made from.

use std::collections::BTreeSet;

use super::Component;
use crate::build::redis::trio;
use crate::build::{edge, mongodb, object_storage, rabbitmq, redis, service, web};
use crate::validate::Platform;
use Component::{Auth, Chat, Edge, Gateway, Media, MongoDb, Notification, ObjectStorage, RabbitMq, Redis, Web};
use End::{Anyone, Backup, Cluster, Controller, Migration, NameServer, Of, Operator};

/// Where a flow begins or ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The pods of a component.
    Of(Component),
    /// The pods that migrate databases.
    Migration,
    /// The pods that make backups, or restore one.
    Backup,
    /// The operator's pods.
    Operator,
    /// Any pod of the cluster.
    Cluster,
    /// Whoever answers for names. Where that is differs among clusters: pods of this or that namespace, or the node itself.
    NameServer,
    /// The controller that people's requests come by: pods of the namespace that the document names, or any of the cluster.
    Controller,
    /// Anybody, within the cluster or outside.
    Anyone,
}

/// Connections that have to be possible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    /// Who opens them.
    pub(super) from: End,
    /// Who takes them.
    pub(super) to: End,
    /// On which ports of those who take them, which are not those of a Service; none is all.
    pub(super) ports: Vec<i32>,
}

const HTTP: &[i32] = &[service::PORT];
const METRICS: &[i32] = &[service::ADMIN_PORT];
const MONGODB: &[i32] = &[mongodb::PORT];
const REDIS: &[i32] = &[redis::PORT, trio::SENTINEL_PORT];
const AMQP: &[i32] = &[rabbitmq::AMQP];
const NODES: &[i32] = &[rabbitmq::MAPPER, rabbitmq::DISTRIBUTION];
const S3: &[i32] = &[object_storage::PORT];
// 53 by its Service is 5353 of its pods where the cluster is OpenShift.
const DNS: &[i32] = &[53, 5353];

/// Every flow of a platform that has all servers to itself, and several of each.
const TABLE: [(End, End, &[i32]); 44] = [
    // People, and the load balancers and nodes that they come by.
    (Anyone, Of(Edge), &[edge::HTTPS, edge::HTTP]),
    // Requests. The edge knows addresses, and so asks for no names.
    (Of(Edge), Of(Gateway), HTTP),
    (Of(Edge), Of(Web), &[web::PORT]),
    (Of(Gateway), Of(Auth), HTTP),
    (Of(Gateway), Of(Chat), HTTP),
    (Of(Gateway), Of(Media), HTTP),
    (Of(Gateway), Of(Notification), HTTP),
    // What services keep and tell.
    (Of(Gateway), Of(Redis), REDIS),
    (Of(Auth), Of(MongoDb), MONGODB),
    (Of(Auth), Of(Redis), REDIS),
    (Of(Auth), Of(RabbitMq), AMQP),
    (Of(Chat), Of(MongoDb), MONGODB),
    (Of(Chat), Of(Redis), REDIS),
    (Of(Chat), Of(RabbitMq), AMQP),
    (Of(Media), Of(MongoDb), MONGODB),
    (Of(Media), Of(ObjectStorage), S3),
    (Of(Media), Of(RabbitMq), AMQP),
    (Of(Notification), Of(MongoDb), MONGODB),
    (Of(Notification), Of(RabbitMq), AMQP),
    (Migration, Of(MongoDb), MONGODB),
    (Backup, Of(MongoDb), MONGODB),
    // Members among themselves. A set and a broker of one are about to be more as soon as the document says so.
    (Of(MongoDb), Of(MongoDb), MONGODB),
    (Of(Redis), Of(Redis), REDIS),
    (Of(RabbitMq), Of(RabbitMq), NODES),
    // What the operator provisions and asks.
    (Operator, Of(MongoDb), MONGODB),
    (Operator, Of(Redis), REDIS),
    (Operator, Of(RabbitMq), &[rabbitmq::MANAGEMENT]),
    (Operator, Of(ObjectStorage), S3),
    // Metrics, for whatever gathers them, wherever it is; and which keys a service goes by, for the operator.
    (Cluster, Of(RabbitMq), &[rabbitmq::PROMETHEUS]),
    (Cluster, Of(Gateway), METRICS),
    (Cluster, Of(Auth), METRICS),
    (Cluster, Of(Chat), METRICS),
    (Cluster, Of(Media), METRICS),
    (Cluster, Of(Notification), METRICS),
    // Names of all of the above.
    (Of(MongoDb), NameServer, DNS),
    (Of(Redis), NameServer, DNS),
    (Of(RabbitMq), NameServer, DNS),
    (Of(Gateway), NameServer, DNS),
    (Of(Auth), NameServer, DNS),
    (Of(Chat), NameServer, DNS),
    (Of(Media), NameServer, DNS),
    (Of(Notification), NameServer, DNS),
    (Migration, NameServer, DNS),
    (Backup, NameServer, DNS),
];

/// The flows of a platform.
pub(super) fn of(platform: &Platform) -> Vec<Flow> {
    let alone = platform.redis.managed().is_some_and(|redis| redis.replicas == 1);
    let mut flows: Vec<Flow> = Vec::new();
    let mut add = |flow: Flow| {
        if !flows.contains(&flow) {
            flows.push(flow);
        }
    };
    for (from, to, ports) in TABLE {
        match (from, to) {
            // Nobody but the controller, whose word of the client's address is believed.
            (Anyone, Of(Edge)) if platform.exposure.type_.is_behind_proxy() => {
                add(Flow { from: Controller, to, ports: ports.to_vec() });
            }
            (Of(component), _) if platform.is_external(component) => {}
            (Backup, _) if platform.backup.is_none() => {}
            // A single Redis has nobody to talk to, and no sentinel.
            (Of(Redis), _) if alone => {}
            (_, Of(Redis)) if alone => add(Flow { from, to, ports: vec![redis::PORT] }),
            // Where others' servers are is in a Secret, and by what names and ports they call each other, they alone know.
            (Of(_) | Migration, Of(server)) if platform.is_external(server) => {
                add(Flow { from, to: Anyone, ports: vec![] });
            }
            (_, Of(server)) if platform.is_external(server) => {}
            _ => add(Flow { from, to, ports: ports.to_vec() }),
        }
    }
    if let Some(email) = &platform.email {
        let from = Of(Notification);
        add(Flow { from, to: Anyone, ports: vec![email.port.into()] });
        // Within the cluster, a Service may lead to another port than the one it has itself.
        add(Flow { from, to: Cluster, ports: vec![] });
    }
    if let Some(backup) = &platform.backup {
        add(Flow { from: Backup, to: Anyone, ports: vec![backup.port.into()] });
        // Within the cluster, a Service may lead to another port than the one it has itself.
        add(Flow { from: Backup, to: Cluster, ports: vec![] });
    }
    if let Some(push) = &platform.push {
        let from = Of(Notification);
        // Firebase, and where the service account logs in: the Secret says where that is, and it is HTTPS unless it is beside Firebase's
        // stand-in.
        for port in BTreeSet::from([443, i32::from(push.port)]) {
            add(Flow { from, to: Anyone, ports: vec![port] });
        }
        add(Flow { from, to: Cluster, ports: vec![] });
    }
    if let Some(search) = &platform.search {
        add(Flow { from: Of(Chat), to: Anyone, ports: vec![search.port.into()] });
        add(Flow { from: Of(Chat), to: Cluster, ports: vec![] });
    }
    if let Some(tracing) = &platform.settings.tracing {
        for from in [Gateway, Auth, Chat, Media, Notification].map(Of) {
            add(Flow { from, to: Anyone, ports: vec![tracing.port.into()] });
            add(Flow { from, to: Cluster, ports: vec![] });
        }
    }
    flows
}
