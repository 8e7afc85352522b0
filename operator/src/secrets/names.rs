use serde::{Deserialize, Serialize};

use super::Login;

/// What the secrets of a platform are named after: the platform, where it runs and how it is reached.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Names {
    /// `metadata.name` of the platform.
    pub platform: String,
    /// Its namespace.
    pub namespace: String,
    /// `spec.host`.
    pub host: String,
    /// Number of members of the `MongoDB` replica set.
    pub mongodb_members: u32,
    /// Number of Redis servers; with more than one, Sentinel names the master.
    pub redis_replicas: u32,
    /// Number of `RabbitMQ` nodes.
    pub rabbitmq_replicas: u32,
}

impl Names {
    /// Name of the replica set.
    pub const REPLICA_SET: &'static str = "rs0";
    /// The port of each Sentinel.
    pub const SENTINEL: u16 = 26379;
    /// Name of the Redis master, as Sentinel is asked for it.
    pub const REDIS_MASTER: &'static str = "chatplatform";
    /// File in every service's Secret, and its path in the pod: the authority that signs the servers' certificates.
    pub const AUTHORITY: &'static str = "ca.crt";
    const AUTHORITY_PATH: &'static str = "/etc/chatplatform/secrets/ca.crt";
    /// Name of `RabbitMQ`'s virtual host.
    pub const VIRTUAL_HOST: &'static str = "chatplatform";
    /// Name of the bucket in the managed object store.
    pub const BUCKET: &'static str = "media";
    /// Region that the managed object store answers to.
    pub const REGION: &'static str = "us-east-1";

    /// Name of an object of a component, `<platform>-<component>`.
    #[must_use]
    pub fn object(&self, component: &str) -> String {
        format!("{}-{component}", self.platform)
    }

    /// Host name of a component's Service within the cluster.
    #[must_use]
    pub fn service(&self, component: &str) -> String {
        format!("{}-{component}.{}.svc", self.platform, self.namespace)
    }

    /// Host names of the pods of a component's `StatefulSet`, by ordinal.
    pub fn pods(&self, component: &str, count: u32) -> impl Iterator<Item = String> {
        let object = self.object(component);
        let service = self.service(component);
        (0..count).map(move |ordinal| format!("{object}-{ordinal}.{service}"))
    }

    /// Names of the broker's nodes, by ordinal. Data belong to a node by its name, so these never change.
    #[must_use]
    pub fn rabbitmq_nodes(&self) -> Vec<String> {
        self.pods("rabbitmq", self.rabbitmq_replicas).map(|host| format!("rabbit@{host}")).collect()
    }

    /// `host:port` of each member of the replica set.
    #[must_use]
    pub fn mongodb_members(&self) -> Vec<String> {
        self.mongodb_hosts(self.mongodb_members).collect()
    }

    /// `host:port` of the first so many pods of the replica set, members or not.
    pub fn mongodb_hosts(&self, count: u32) -> impl Iterator<Item = String> {
        self.pods("mongodb", count).map(|host| format!("{host}:27017"))
    }

    /// What the certificate of the replica set's members must be valid for: each by its name, however many there are.
    #[must_use]
    pub fn mongodb_subjects(&self) -> Vec<String> {
        let service = self.service("mongodb");
        // By localhost a person reaches a member through `kubectl port-forward`.
        vec![format!("*.{service}"), service, "localhost".to_owned()]
    }

    /// What the edge's certificate must be valid for.
    #[must_use]
    pub fn edge_subjects(&self) -> Vec<String> {
        vec![
            self.host.clone(),
            self.object("edge"),
            self.service("edge"),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
        ]
    }

    pub(super) fn mongodb_uri(&self, database: &str, login: &Login) -> String {
        let (user, password) = (&login.user, login.exposed());
        format!(
            "mongodb://{user}:{password}@{}/{database}?replicaSet={}&authSource=admin&tls=true&tlsCAFile={}",
            self.mongodb_members().join(","),
            Self::REPLICA_SET,
            Self::AUTHORITY_PATH
        )
    }

    /// Somebody else's URI, with the file in the pod that holds the authority to trust. Each option may stand there once.
    pub(super) fn mongodb_uri_with_authority(uri: &str) -> String {
        let (server, options) = uri.split_once('?').unwrap_or((uri, ""));
        let hosts = server.find("://").map_or(0, |scheme| scheme + 3);
        // Options follow a slash and a question mark (MongoDB manual, "Connection String URI Format").
        let slash = if server[hosts..].contains('/') { "" } else { "/" };
        let is = |option: &str, name: &str| option.split('=').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        let authority = format!("tlsCAFile={}", Self::AUTHORITY_PATH);
        let mut options: Vec<&str> =
            options.split('&').filter(|option| !option.is_empty() && !is(option, "tlsCAFile")).collect();
        if !options.iter().any(|option| is(option, "tls") || is(option, "ssl")) {
            options.push("tls=true");
        }
        options.push(&authority);
        format!("{server}{slash}?{}", options.join("&"))
    }

    pub(super) fn redis_url(&self, login: &Login) -> String {
        let (user, password) = (&login.user, login.exposed());
        if self.redis_replicas <= 1 {
            return format!("redis://{user}:{password}@{}:6379/0", self.service("redis"));
        }
        let sentinels: Vec<_> =
            self.pods("redis", self.redis_replicas).map(|host| format!("{host}:{}", Self::SENTINEL)).collect();
        format!("redis+sentinel://{user}:{password}@{}/{}/0", sentinels.join(","), Self::REDIS_MASTER)
    }

    pub(super) fn rabbitmq_uri(&self, login: &Login) -> String {
        let (user, password) = (&login.user, login.exposed());
        format!("amqp://{user}:{password}@{}:5672/{}", self.service("rabbitmq"), Self::VIRTUAL_HOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_elses_uri_gets_the_authority_whatever_it_says_already_and_no_option_twice() {
        let authority = "tlsCAFile=/etc/chatplatform/secrets/ca.crt";
        for (uri, expected) in [
            ("mongodb://u:p@a:1,b:1", "mongodb://u:p@a:1,b:1/?tls=true&"),
            ("mongodb://a/", "mongodb://a/?tls=true&"),
            ("mongodb+srv://a/db?", "mongodb+srv://a/db?tls=true&"),
            ("mongodb://a/?replicaSet=rs0", "mongodb://a/?replicaSet=rs0&tls=true&"),
            (
                "mongodb://a/?replicaSet=rs0&tls=true&authSource=admin",
                "mongodb://a/?replicaSet=rs0&tls=true&authSource=admin&",
            ),
            ("mongodb://a/db?SSL=true&tlscafile=/theirs.pem", "mongodb://a/db?SSL=true&"),
        ] {
            assert_eq!(Names::mongodb_uri_with_authority(uri), format!("{expected}{authority}"), "{uri}");
        }
    }
}
