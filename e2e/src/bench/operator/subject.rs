//! The two operators that are compared, and the documents that they are given.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::platform::OPERATOR_NAMESPACE;
use crate::progress::Progress;
use crate::scenarios::api_server::ApiServer;
use crate::scenarios::wait::until;

/// Label of every namespace that documents are in.
const LABEL: &str = "chatplatform.dev/bench";
/// The namespace of the peer's documents.
pub(super) const PEERS: &str = "bench-peer";
/// The namespace of the peer itself.
pub(super) const PEERS_OWN: &str = "bench-peer-system";
/// How long it may take until all of an earlier run is gone.
const GONE_WITHIN: &str = "--timeout=60m";

/// An operator, running, alone on the cluster.
pub(super) struct Subject<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) api: &'a ApiServer,
    pub(super) kind: &'static Kind,
}

/// What tells one operator from the other.
pub(super) struct Kind {
    /// For people.
    pub(super) name: &'static str,
    /// Where its pod runs, and which it is.
    pub(super) namespace: &'static str,
    selector: &'static str,
    pub(super) container: &'static str,
    /// Where it tells what it has counted, and the counter of requests to the API server.
    pub(super) port: u16,
    pub(super) counter: &'static str,
    /// The method that only the election uses.
    pub(super) election: Option<&'static str>,
    /// All documents.
    list: &'static str,
    /// What must be there before the document of a number, each with the path of its list.
    room: fn(u32) -> Vec<(String, Value)>,
    document: fn(u32) -> (String, Value),
    /// Whether the status of a document says that all its objects are made.
    is_converged: fn(&Value) -> bool,
}

/// This project's, which looks after all namespaces.
pub(super) const OURS: Kind = Kind {
    name: "ChatPlatform",
    namespace: OPERATOR_NAMESPACE,
    selector: "--selector=app.kubernetes.io/name=chatplatform-operator",
    container: "operator",
    port: 9090,
    counter: "chatplatform_operator_api_requests_total",
    election: Some("PUT"),
    list: "/apis/chatplatform.dev/v1alpha1/chatplatforms",
    room: |number| vec![namespace(&of(number)), no_pods(&of(number))],
    document: |number| {
        let metadata = json!({"name": "acme", "namespace": of(number)});
        let document = json!({
            "apiVersion": "chatplatform.dev/v1alpha1",
            "kind": "ChatPlatform",
            "metadata": metadata,
            "spec": {"host": format!("chat-{number}.example.com")},
        });
        (format!("/apis/chatplatform.dev/v1alpha1/namespaces/{}/chatplatforms", of(number)), document)
    },
    is_converged: |document| {
        let rows = document["status"]["components"].as_array().map_or(&[][..], Vec::as_slice);
        // A row has a version once the object is there that makes the component's pods; the edge's is made last.
        !rows.is_empty() && rows.iter().all(|row| row["version"].is_string())
    },
};

/// `MongoDB`'s own operator, in Go with controller-runtime. It looks after one namespace alone, so that it holds nothing of what ours has made.
pub(super) const PEER: Kind = Kind {
    name: "mongodb-kubernetes-operator",
    namespace: PEERS_OWN,
    selector: "--selector=app=bench-peer",
    container: "manager",
    port: 8080,
    counter: "rest_client_requests_total",
    election: None,
    list: "/apis/mongodbcommunity.mongodb.com/v1/namespaces/bench-peer/mongodbcommunity",
    room: |_| Vec::new(),
    document: |number| {
        let document = json!({
            "apiVersion": "mongodbcommunity.mongodb.com/v1",
            "kind": "MongoDBCommunity",
            "metadata": {"name": format!("set-{number}"), "namespace": PEERS},
            // The sample of its own that is smallest, with one member.
            "spec": {
                "members": 1,
                "type": "ReplicaSet",
                "version": "6.0.5",
                "security": {"authentication": {"modes": ["SCRAM"]}},
                "users": [{
                    "name": "my-user",
                    "db": "admin",
                    "passwordSecretRef": {"name": "my-user-password"},
                    "roles": [{"name": "clusterAdmin", "db": "admin"}, {"name": "userAdminAnyDatabase", "db": "admin"}],
                    "scramCredentialsSecretName": format!("scram-{number}"),
                }],
            },
        });
        (PEER.list.to_owned(), document)
    },
    // Until then it has no phase; from then on it waits for the set to be ready.
    is_converged: |document| document["status"]["phase"] == "Pending",
};

impl Subject<'_> {
    /// Makes what the document of a number is put into.
    pub(super) fn make_room_for(&self, number: u32) -> Result<()> {
        (self.kind.room)(number).iter().try_for_each(|(path, object)| self.api.create(path, object))
    }

    /// Makes the document of a number.
    pub(super) fn apply(&self, number: u32) -> Result<()> {
        let (path, document) = (self.kind.document)(number);
        self.api.create(&path, &document)
    }

    /// Documents all of whose objects are made.
    pub(super) fn converged(&self) -> Result<u32> {
        // From the API server's memory, which costs it least.
        let listed = self.api.read(&format!("{}?resourceVersion=0", self.kind.list))?;
        let documents = listed["items"].as_array().context("the API server answers no list")?;
        let converged = documents.iter().filter(|document| (self.kind.is_converged)(document)).count();
        u32::try_from(converged).context("there are too many")
    }
}

/// The pod of an operator, once it is ready.
pub(super) fn pod(cluster: &Cluster, kind: &Kind) -> Result<Value> {
    let listed = cluster.kubectl_json(["get", "pods", "--namespace", kind.namespace, kind.selector])?;
    let pods = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    pods.iter().find(ready).cloned().with_context(|| format!("no pod of {} is ready", kind.name))
}

/// Ends an operator; while the cluster's own controllers are stopped, nothing starts another.
pub(super) fn end(cluster: &Cluster, kind: &Kind) -> Result<()> {
    cluster.kubectl(["delete", "pods", "--namespace", kind.namespace, kind.selector, "--timeout=120s"]).map(drop)
}

/// Removes all documents with their objects, which can be many, on a cluster that was kept.
pub(super) fn remove_what_an_earlier_run_left(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let selector = format!("--selector={LABEL}");
    if cluster.kubectl(["get", "namespaces", &selector, "--output=name"])?.is_empty() {
        return Ok(());
    }
    progress.step("remove what an earlier run left", "Run the command again to go on.", |_| {
        cluster.kubectl(["delete", "namespaces", &selector, GONE_WITHIN]).map(drop)
    })
}

/// Makes the namespaces of the peer and of its documents while the cluster's own controllers, which put things into them, run.
pub(super) fn prepare_peers(cluster: &Cluster) -> Result<()> {
    let password = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "my-user-password", "namespace": PEERS},
        "stringData": {"password": "a long pass phrase"},
    });
    let objects = [namespace(PEERS).1, no_pods(PEERS).1, password, namespace(PEERS_OWN).1];
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    until("the certificate of the API server is published to the peer", Duration::from_secs(30), || {
        cluster.kubectl(["get", "configmap", "kube-root-ca.crt", "--namespace", PEERS_OWN]).map(drop)
    })
}

/// The namespace of a platform: a team has its own.
fn of(number: u32) -> String {
    format!("bench-{number}")
}

fn namespace(name: &str) -> (String, Value) {
    let metadata = json!({"name": name, "labels": {LABEL: ""}});
    ("/api/v1/namespaces".to_owned(), json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
}

/// A quota of no pods, for when the cluster's own controllers run again on a cluster that is kept.
fn no_pods(namespace: &str) -> (String, Value) {
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    });
    (format!("/api/v1/namespaces/{namespace}/resourcequotas"), quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_counts_once_the_object_of_every_component_is_there() {
        let with = |rows: Value| json!({"status": {"components": rows}});
        assert!((OURS.is_converged)(&with(json!([{"name": "chat", "version": "0.1.0"}]))));
        assert!(!(OURS.is_converged)(&with(json!([{"name": "chat", "version": "0.1.0"}, {"name": "edge"}]))));
        assert!(!(OURS.is_converged)(&with(json!([]))));
        assert!(!(OURS.is_converged)(&json!({})));
    }
}
