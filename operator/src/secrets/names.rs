/// What the secrets of a platform are named after: the platform, where it runs and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `metadata.name` of the platform.
    pub platform: String,
    /// Its namespace.
    pub namespace: String,
    /// `spec.host`.
    pub host: String,
    /// Number of members of the `MongoDB` replica set.
    pub mongodb_members: u32,
}

impl Names {
    /// Name of the replica set.
    pub const REPLICA_SET: &'static str = "rs0";
    /// Name of `RabbitMQ`'s virtual host.
    pub const VIRTUAL_HOST: &'static str = "chatplatform";

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

    /// `host:port` of each member of the replica set.
    #[must_use]
    pub fn mongodb_members(&self) -> Vec<String> {
        self.pods("mongodb", self.mongodb_members).map(|host| format!("{host}:27017")).collect()
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

    pub(super) fn mongodb_uri(&self, user: &str, password: &str) -> String {
        format!(
            "mongodb://{user}:{password}@{}/{user}?replicaSet={}&authSource=admin",
            self.mongodb_members().join(","),
            Self::REPLICA_SET
        )
    }

    pub(super) fn redis_url(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}:6379/0", self.service("redis"))
    }

    pub(super) fn rabbitmq_uri(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@{}:5672/{}", self.service("rabbitmq"), Self::VIRTUAL_HOST)
    }
}
