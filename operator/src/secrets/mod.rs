//! Everything secret that a platform needs: what exists is kept, what is missing is made.
//!
//! [`Existing`] is what the platform's Secrets hold now, [`Material`] is that completed, and [`Material::rendered`] is the
//! Secrets as they shall be. Rendering what was read gives the same bytes, so a platform at rest writes nothing.
//!
//! | Secret | keys |
//! |---|---|
//! | `<p>-auth` | `mongodb-uri`, `redis-url`, `rabbitmq-uri`, `credentials`, `ca.crt` |
//! | `<p>-gateway` | `redis-url`, `credentials`, `ca.crt` |
//! | `<p>-chat` | `mongodb-uri`, `redis-url`, `rabbitmq-uri`, `credentials`, `ca.crt` |
//! | `<p>-media` | `mongodb-uri`, `rabbitmq-uri`, `s3-access-key-id`, `s3-secret-access-key`, `credentials`, `ca.crt` |
//! | `<p>-notification` | `mongodb-uri`, `rabbitmq-uri`, `credentials`, `ca.crt` |
//! | `<p>-backup`, with backups | `mongodb-uri`, `s3-access-key-id`, `s3-secret-access-key`, `ca.crt` |
//! | `<p>-mongodb` | `keyfile` |
//! | `<p>-mongodb-tls` | `tls.crt`, `tls.key`, `tls.pem` (both), `ca.crt` |
//! | `<p>-redis` | `users.acl`, `sentinel.acl`, `operator-password`, `replication-password`, `sentinel-password` |
//! | `<p>-rabbitmq` | `definitions.json` (for `load_definitions`), `erlang-cookie`, `operator-password` |
//! | `<p>-object-storage` | `access-key-id`, `secret-access-key` |
//! | `<p>-credentials` | `credentials.json` |
//! | `<p>-signing-keys`, `<p>-message-keys`, `<p>-account-keys` | `keys.json` |
//! | `<p>-ca` | `tls.crt`, `tls.key` |
//! | `<p>-edge-tls` | `tls.crt`, `tls.key`, `ca.crt` |
//!
//! `<p>-edge-tls` is what the edge shows, whoever made it: a certificate of the user's is copied there, once it has been looked through.
//! What services log in with stands in `<p>-credentials`; `credentials` in their own Secrets is the generation that is used there.
//! Of a server that somebody else runs ([`Externals`]) there is no Secret of its own; the services' Secrets hold what the user's says.

mod certificate;
mod credentials;
mod existing;
mod external;
mod given;
mod login;
mod material;
mod message_keys;
mod names;
mod rabbitmq_definitions;
mod redis_acl;
mod rendered;
pub mod rotation;
mod service_account;
mod signing_keys;

pub use certificate::{Certificate, Face, face};
pub use credentials::Credentials;
pub use existing::Existing;
pub use external::{Connection, Externals};
pub use given::{Given, check as check_certificate};
pub use login::Login;
pub use material::{
    BACKUP, EDGE_TLS, EdgeCertificate, MONGODB_TLS, Material, MongoDb, ObjectStorage, RabbitMq, Redis, Supply,
};
pub use message_keys::MessageKeys;
pub use names::Names;
pub use rabbitmq_definitions::password_hash as rabbitmq_password_hash;
pub use redis_acl::{Place as RedisPlace, Rules as RedisRules, password_hash as redis_password_hash};
pub use rendered::Rendered;
pub use service_account::{FILE as SERVICE_ACCOUNT, check as check_service_account};
pub use signing_keys::{SigningKeys, thumbprint};

use crate::reason::Reason;

/// Why the secrets of a platform cannot be completed. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value is there and cannot be used. It is never replaced by a new one: what it protects would be lost with it.
    #[error(
        "Secret {secret}, key {key}: {fault}. Put the right value back from a backup; only if it is truly gone, \
         delete the key so that a new one is made"
    )]
    Broken {
        /// Name of the Secret.
        secret: String,
        /// Key within it.
        key: String,
        /// What is wrong with the value, without the value.
        fault: String,
    },
    /// A secret that makes stored data readable has gone while the data is still there.
    #[error(
        "Secret {secret} is gone, and stored messages cannot be read without it. Restore it from a backup of the platform's Secrets"
    )]
    Lost {
        /// Name of the Secret.
        secret: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate for Secret {secret}: {cause}. Check spec.host")]
    Certificate {
        /// Name of the Secret.
        secret: String,
        /// The X.509 library's words.
        cause: String,
    },
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        match self {
            Self::Broken { .. } => Reason::SecretBroken,
            Self::Lost { .. } => Reason::SecretLost,
            Self::Certificate { .. } => Reason::CertificateFailed,
        }
    }
}
