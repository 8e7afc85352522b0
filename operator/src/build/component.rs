//! The parts of a platform, by the names they have in objects, labels and status.

/// A part of the platform: one workload, one row of its status.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Component {
    /// The `MongoDB` replica set.
    MongoDb,
    /// The Redis server.
    Redis,
    /// The `RabbitMQ` broker.
    RabbitMq,
    /// The S3 store.
    ObjectStorage,
    /// The gateway service.
    Gateway,
    /// The auth service.
    Auth,
    /// The chat service.
    Chat,
    /// The media service.
    Media,
    /// The notification service.
    Notification,
    /// The web client.
    Web,
    /// The TLS edge.
    Edge,
}

impl Component {
    /// All of them, in the order in which they are applied and reported.
    pub const ALL: [Self; 11] = [
        Self::MongoDb,
        Self::Redis,
        Self::RabbitMq,
        Self::ObjectStorage,
        Self::Gateway,
        Self::Auth,
        Self::Chat,
        Self::Media,
        Self::Notification,
        Self::Web,
        Self::Edge,
    ];

    /// The servers that hold data, each a `StatefulSet` that is provisioned.
    pub const DATA: [Self; 4] = [Self::MongoDb, Self::Redis, Self::RabbitMq, Self::ObjectStorage];

    /// The services that have a database.
    pub const WITH_DATABASE: [Self; 4] = [Self::Auth, Self::Chat, Self::Media, Self::Notification];

    /// The name: `app.kubernetes.io/name`, and what follows the platform's name in the names of objects.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MongoDb => "mongodb",
            Self::Redis => "redis",
            Self::RabbitMq => "rabbitmq",
            Self::ObjectStorage => "object-storage",
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Chat => "chat",
            Self::Media => "media",
            Self::Notification => "notification",
            Self::Web => "web",
            Self::Edge => "edge",
        }
    }

    /// The component of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// Whether it is one of the servers that hold data.
    #[must_use]
    pub fn holds_data(self) -> bool {
        Self::DATA.contains(&self)
    }
}
