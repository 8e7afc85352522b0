//! Secrets of Kubernetes, as pods and the operator itself read them.

use secrecy::{ExposeSecret, SecretString};

use super::{BACKUP, EDGE_TLS, EdgeCertificate, MONGODB_TLS, Material};
use crate::build::Component;
use crate::secrets::names::Names;
use crate::secrets::rendered::Rendered;
use crate::secrets::rotation::Ring as _;
use crate::secrets::{Login, credentials, rabbitmq_definitions, redis_acl};

const OPAQUE: &str = "Opaque";
const TLS: &str = "kubernetes.io/tls";

impl Material {
    /// The Secrets as they shall be, in the order of their names.
    #[must_use]
    pub fn rendered(&self, names: &Names) -> Vec<Rendered> {
        let mongodb_uri = |user| {
            let uri = self.mongodb.uri(|own| {
                let of_backups = own.backup.clone().filter(|login| login.user == user);
                names.mongodb_uri(user, &of_backups.unwrap_or_else(|| self.login(Component::MongoDb, user)))
            });
            let own_authority = self.mongodb.authority().is_some();
            ("mongodb-uri", if own_authority { Names::mongodb_uri_with_authority(&uri) } else { uri })
        };
        let redis_url = |user| ("redis-url", self.redis.uri(|_| names.redis_url(&self.login(Component::Redis, user))));
        let rabbitmq_uri =
            |user| ("rabbitmq-uri", self.rabbitmq.uri(|_| names.rabbitmq_uri(&self.login(Component::RabbitMq, user))));
        let operator_password = |login: &Login| ("operator-password", login.exposed().to_owned());
        let s3 = &self.object_storage;
        let (s3_id, s3_secret) = (s3.access_key_id.clone(), s3.secret_access_key.expose_secret().to_owned());
        let of = |component, data| Rendered::new(names.object(component), component, OPAQUE, data);
        let trusted = (Names::AUTHORITY, self.trusted());
        let has_own = !self.own_servers().is_empty();
        let generation = has_own.then(|| (credentials::OBJECT, self.credentials.current().to_owned()));
        let service = |service, data: Vec<_>| {
            of(service, data.into_iter().chain(generation.clone()).chain([trusted.clone()]).collect())
        };
        let ring = |object, component, text: &str| {
            Rendered::new(names.object(object), component, OPAQUE, vec![("keys.json", text.to_owned())])
        };
        let tls = |object, component, (pem, key): (&str, &str), more: Vec<_>| {
            let own = [("tls.crt", pem.to_owned()), ("tls.key", key.to_owned())];
            Rendered::new(names.object(object), component, TLS, own.into_iter().chain(more).collect())
        };
        let chain = (Names::AUTHORITY, self.authority.pem().to_owned());
        let edge_chain = match &self.edge {
            EdgeCertificate::Own(_) => Some(chain.clone()),
            EdgeCertificate::Given(given) => {
                given.authority().map(|authority| (Names::AUTHORITY, authority.to_owned()))
            }
        };
        let mut rendered = vec![
            service("auth", vec![mongodb_uri("auth"), redis_url("auth"), rabbitmq_uri("auth")]),
            service("chat", vec![mongodb_uri("chat"), redis_url("chat"), rabbitmq_uri("chat")]),
            service("gateway", vec![redis_url("gateway")]),
            service(
                "media",
                vec![
                    mongodb_uri("media"),
                    rabbitmq_uri("media"),
                    ("s3-access-key-id", s3_id.clone()),
                    ("s3-secret-access-key", s3_secret.clone()),
                ],
            ),
            service("notification", vec![mongodb_uri("notification"), rabbitmq_uri("notification")]),
            ring("signing-keys", "auth", self.signing_keys.text()),
            ring("message-keys", "chat", self.message_keys.text()),
            ring("account-keys", "auth", self.account_keys.text()),
            tls("ca", "edge", (self.authority.pem(), self.authority.key()), vec![]),
            tls(EDGE_TLS, "edge", (self.edge.pem(), self.edge.key()), edge_chain.into_iter().collect()),
        ];
        if has_own {
            // It belongs to no component more than to another.
            let text = self.credentials.text().to_owned();
            rendered.push(Rendered::new(
                names.object(credentials::OBJECT),
                "auth",
                OPAQUE,
                vec![(credentials::KEY, text)],
            ));
        }
        if let Some(own) = self.mongodb.own() {
            rendered.push(of("mongodb", vec![("keyfile", own.key_file.expose_secret().to_owned())]));
            // The server wants certificate and key in one file.
            let both = format!("{}{}", own.certificate.pem(), own.certificate.key());
            let pair = (own.certificate.pem(), own.certificate.key());
            rendered.push(tls(MONGODB_TLS, "mongodb", pair, vec![("tls.pem", both), chain]));
        }
        if let Some(own) = self.redis.own() {
            let services = self.credentials.accepted(Component::Redis);
            let logins = || services.iter().chain([&own.operator, &own.replication, &own.sentinel]);
            rendered.push(of(
                "redis",
                vec![
                    ("users.acl", redis_acl::file(logins(), redis_acl::Place::Server)),
                    ("sentinel.acl", redis_acl::file(logins(), redis_acl::Place::Sentinel)),
                    operator_password(&own.operator),
                    ("replication-password", own.replication.exposed().to_owned()),
                    ("sentinel-password", own.sentinel.exposed().to_owned()),
                ],
            ));
        }
        if let Some(own) = self.rabbitmq.own() {
            rendered.push(of(
                "rabbitmq",
                vec![
                    ("definitions.json", rabbitmq_definitions::file(&own.operator)),
                    ("erlang-cookie", own.erlang_cookie.expose_secret().to_owned()),
                    operator_password(&own.operator),
                ],
            ));
        }
        if self.object_storage.is_own {
            rendered.push(of("object-storage", vec![("access-key-id", s3_id), ("secret-access-key", s3_secret)]));
        }
        rendered.extend(self.backup(names, [mongodb_uri(BACKUP), trusted.clone()]));
        rendered.sort_by(|one, other| one.name().cmp(other.name()));
        rendered
    }

    /// The Secret of what makes backups, if any are made, with what it shares with those of services.
    fn backup(&self, names: &Names, shared: [(&'static str, String); 2]) -> Option<Rendered> {
        let (_, account) = self.mongodb.own().zip(self.backup.as_ref())?;
        let secret = account.secret_access_key.expose_secret().to_owned();
        let account = [("s3-access-key-id", account.access_key_id.clone()), ("s3-secret-access-key", secret)];
        let data = shared.into_iter().chain(account).collect();
        Some(Rendered::new(names.object(BACKUP), "mongodb", OPAQUE, data))
    }

    /// What a service logs in to a server of the platform's own with, of which `complete` made one for each.
    fn login(&self, server: Component, service: &str) -> Login {
        self.credentials.of(server, service).unwrap_or_else(|| Login::new(service, SecretString::default()))
    }

    /// Every authority that a service's connections may have to trust: the platform's own, and those of others' servers.
    fn trusted(&self) -> String {
        let others = [self.mongodb.authority(), self.redis.authority(), self.rabbitmq.authority()];
        let mut trusted = self.authority.pem().to_owned();
        for other in others.into_iter().flatten() {
            trusted.push_str(other.trim());
            trusted.push('\n');
        }
        trusted
    }
}
