use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::existing::broken;
use super::login::random_text;
use super::message_keys::MessageKeys;
use super::names::Names;
use super::rendered::Rendered;
use super::signing_keys::SigningKeys;
use super::{Connection, Error, Existing, Externals, Given, Login, rabbitmq_definitions, redis_acl};

const OPERATOR: &str = "operator";
const OPAQUE: &str = "Opaque";
/// Name of the Secret with the members' certificate, after the platform's.
pub const MONGODB_TLS: &str = "mongodb-tls";
/// Name of the Secret with the certificate that the edge shows, after the platform's.
pub const EDGE_TLS: &str = "edge-tls";
const TLS: &str = "kubernetes.io/tls";

/// Every secret of a platform, complete.
#[derive(Clone, Debug)]
pub struct Material {
    /// `MongoDB`.
    pub mongodb: Supply<MongoDb>,
    /// Redis.
    pub redis: Supply<Redis>,
    /// `RabbitMQ`.
    pub rabbitmq: Supply<RabbitMq>,
    /// The account of the S3 store.
    pub object_storage: ObjectStorage,
    /// Keys that sign access tokens.
    pub signing_keys: SigningKeys,
    /// Keys that wrap the keys of conversations.
    pub message_keys: MessageKeys,
    /// Keys that secrets of accounts are encrypted with.
    pub account_keys: MessageKeys,
    /// The platform's certificate authority.
    pub authority: Certificate,
    /// The certificate of the edge.
    pub edge: EdgeCertificate,
}

/// The certificate that the edge shows.
#[derive(Clone, Debug)]
pub enum EdgeCertificate {
    /// Signed by the platform's own authority.
    Own(Certificate),
    /// Made by somebody else.
    Given(Given),
}

impl EdgeCertificate {
    /// The certificate, and those between it and its authority, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        match self {
            Self::Own(own) => own.pem(),
            Self::Given(given) => given.pem(),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Own(own) => own.key(),
            Self::Given(given) => given.key(),
        }
    }

    fn own(&self) -> Option<&Certificate> {
        match self {
            Self::Own(own) => Some(own),
            Self::Given(_) => None,
        }
    }
}

/// Secrets of a server that is the platform's own, or the way to one that somebody else runs.
#[derive(Clone, Debug)]
pub enum Supply<T> {
    /// Made and kept here.
    Own(T),
    /// Given by the user.
    External(Connection),
}

impl<T> Supply<T> {
    /// The secrets of the platform's own server, if it has one.
    #[must_use]
    pub fn own(&self) -> Option<&T> {
        match self {
            Self::Own(own) => Some(own),
            Self::External(_) => None,
        }
    }

    /// The connection string of a service's user: `own` makes that of the platform's own server.
    fn uri(&self, own: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Own(secrets) => own(secrets),
            Self::External(connection) => connection.uri.expose_secret().to_owned(),
        }
    }

    /// The authority by which somebody else's server is believed, PEM; none where there is no such server or it needs none.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::External(connection) => connection.authority.as_deref(),
        }
    }
}

/// Secrets of the replica set.
#[derive(Clone, Debug)]
pub struct MongoDb {
    /// The certificate that every member shows, to clients and to the others.
    pub certificate: Certificate,
    /// Content of the key file, by which members and the operator (as `__system`) log in.
    pub key_file: SecretString,
    /// A user per service, each of the database of its own name.
    pub users: Vec<Login>,
}

/// Secrets of Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// The operator's own user.
    pub operator: Login,
    /// The user by which replicas log in to their master.
    pub replication: Login,
    /// The user by which sentinels log in to servers and to each other.
    pub sentinel: Login,
    /// A user per service.
    pub users: Vec<Login>,
}

impl Redis {
    /// Every user, in a server and in a sentinel alike.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.users.iter().chain([&self.operator, &self.replication, &self.sentinel])
    }
}

/// Secrets of `RabbitMQ`.
#[derive(Clone, Debug)]
pub struct RabbitMq {
    /// The operator's own user, an administrator.
    pub operator: Login,
    /// What nodes and command line tools know each other by.
    pub erlang_cookie: SecretString,
    /// A user per service.
    pub users: Vec<Login>,
}

/// The account of an S3 store.
#[derive(Clone, Debug)]
pub struct ObjectStorage {
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret access key.
    pub secret_access_key: SecretString,
    /// Whether the store is the platform's own.
    pub is_own: bool,
}

impl Material {
    /// Keeps what exists, generates what is missing, renews certificates when two thirds of their life are over or their names have
    /// changed. What `externals` tell of is taken from there.
    pub fn complete(
        existing: &Existing,
        externals: &Externals,
        names: &Names,
        rng: &mut (impl CryptoRng + ?Sized),
        now: Timestamp,
    ) -> Result<Self, Error> {
        let authority = authority(existing, names, now)?;
        let edge = match externals.certificate() {
            Some(given) => EdgeCertificate::Given(given),
            None => EdgeCertificate::Own(edge(existing, &authority, names, now)?),
        };
        Ok(Self {
            mongodb: match externals.connection("mongodb", "uri") {
                Some(connection) => Supply::External(connection),
                None => Supply::Own(MongoDb {
                    certificate: leaf(
                        existing,
                        &authority,
                        &names.object(MONGODB_TLS),
                        "mongodb",
                        names,
                        names.mongodb_subjects(),
                        now,
                    )?,
                    key_file: key_file(existing, names, rng)?,
                    users: users(existing, names, "mongodb-uri", &["auth", "chat", "media", "notification"], rng)?,
                }),
            },
            redis: match externals.connection("redis", "url") {
                Some(connection) => Supply::External(connection),
                None => Supply::Own(Redis {
                    operator: operator(existing, names, "redis", rng)?,
                    replication: own_user(existing, names, "redis", redis_acl::REPLICATION, rng)?,
                    sentinel: own_user(existing, names, "redis", redis_acl::SENTINEL, rng)?,
                    users: users(existing, names, "redis-url", &["gateway", "auth", "chat"], rng)?,
                }),
            },
            rabbitmq: match externals.connection("rabbitmq", "uri") {
                Some(connection) => Supply::External(connection),
                None => Supply::Own(RabbitMq {
                    operator: operator(existing, names, "rabbitmq", rng)?,
                    erlang_cookie: match existing.text(&names.object("rabbitmq"), "erlang-cookie")? {
                        Some(cookie) => SecretString::from(cookie),
                        None => random_text::<32>(rng),
                    },
                    users: users(existing, names, "rabbitmq-uri", &["auth", "chat", "notification"], rng)?,
                }),
            },
            object_storage: match externals.account() {
                Some(account) => account,
                None => object_storage(existing, names, rng)?,
            },
            signing_keys: signing_keys(existing, names, rng)?,
            message_keys: message_keys(existing, names, rng)?,
            account_keys: account_keys(existing, names, rng)?,
            authority,
            edge,
        })
    }

    /// When something here is due for renewal, for the next reconcile.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let mongodb = self.mongodb.own().map(|own| &own.certificate);
        let leaves = mongodb.into_iter().chain(self.edge.own()).map(Certificate::renew_at);
        leaves.min().unwrap_or_else(|| self.authority.renew_at())
    }

    /// Digest of what a component reads at its start alone, for an annotation of its pods: when it changes, they must restart.
    /// Everything else is read again by whoever mounts it, or changed in the running server by `provision`.
    #[must_use]
    pub fn read_at_start(&self, component: &str) -> Option<String> {
        let parts: Vec<&str> = match component {
            "mongodb" => vec![self.mongodb.own()?.key_file.expose_secret()],
            "redis" => {
                let own = self.redis.own()?;
                vec![own.operator.exposed(), own.replication.exposed(), own.sentinel.exposed()]
            }
            "rabbitmq" => {
                let own = self.rabbitmq.own()?;
                vec![own.operator.exposed(), own.erlang_cookie.expose_secret()]
            }
            "object-storage" => {
                vec![&self.object_storage.access_key_id, self.object_storage.secret_access_key.expose_secret()]
            }
            _ => return None,
        };
        Some(digest(&parts))
    }

    /// Digest of what somebody else's servers are reached by: services read it at their start alone.
    #[must_use]
    pub fn external_connections(&self) -> Option<String> {
        fn parts<T>(supply: &Supply<T>) -> impl Iterator<Item = &str> {
            let connection = match supply {
                Supply::Own(_) => None,
                Supply::External(connection) => Some(connection),
            };
            connection.into_iter().flat_map(|connection| {
                [connection.uri.expose_secret(), connection.authority.as_deref().unwrap_or_default()]
            })
        }
        let all: Vec<&str> = parts(&self.mongodb).chain(parts(&self.redis)).chain(parts(&self.rabbitmq)).collect();
        (!all.is_empty()).then(|| digest(&all))
    }

    /// The public keys by which tokens are verified, for `ConfigMap` `<p>-jwks`.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.signing_keys.jwks()
    }

    /// The Secrets as they shall be, in the order of their names.
    #[must_use]
    pub fn rendered(&self, names: &Names) -> Vec<Rendered> {
        let mongodb_uri = |user| {
            let uri = self.mongodb.uri(|own| names.mongodb_uri(user, password(&own.users, user)));
            let own_authority = self.mongodb.authority().is_some();
            ("mongodb-uri", if own_authority { Names::mongodb_uri_with_authority(&uri) } else { uri })
        };
        let redis_url = |user| ("redis-url", self.redis.uri(|own| names.redis_url(user, password(&own.users, user))));
        let rabbitmq_uri =
            |user| ("rabbitmq-uri", self.rabbitmq.uri(|own| names.rabbitmq_uri(user, password(&own.users, user))));
        let operator_password = |login: &Login| ("operator-password", login.exposed().to_owned());
        let s3 = &self.object_storage;
        let (s3_id, s3_secret) = (s3.access_key_id.clone(), s3.secret_access_key.expose_secret().to_owned());
        let of = |component, data| Rendered::new(names.object(component), component, OPAQUE, data);
        let trusted = (Names::AUTHORITY, self.trusted());
        let service = |service, data: Vec<_>| of(service, data.into_iter().chain([trusted.clone()]).collect());
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
        if let Some(own) = self.mongodb.own() {
            rendered.push(of("mongodb", vec![("keyfile", own.key_file.expose_secret().to_owned())]));
            // The server wants certificate and key in one file.
            let both = format!("{}{}", own.certificate.pem(), own.certificate.key());
            let pair = (own.certificate.pem(), own.certificate.key());
            rendered.push(tls(MONGODB_TLS, "mongodb", pair, vec![("tls.pem", both), chain]));
        }
        if let Some(own) = self.redis.own() {
            rendered.push(of(
                "redis",
                vec![
                    ("users.acl", redis_acl::file(own.logins(), redis_acl::Place::Server)),
                    ("sentinel.acl", redis_acl::file(own.logins(), redis_acl::Place::Sentinel)),
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
        rendered.sort_by(|one, other| one.name().cmp(other.name()));
        rendered
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

fn digest(parts: &[&str]) -> String {
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
    hex::encode(&digest.finalize()[..16])
}

/// The password of a user that `complete` made for each service of the server.
fn password<'a>(logins: &'a [Login], user: &str) -> &'a str {
    logins.iter().find(|login| login.user == user).map(Login::exposed).unwrap_or_default()
}

fn users(
    existing: &Existing,
    names: &Names,
    key: &str,
    users: &[&str],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<Login>, Error> {
    let mut logins = Vec::with_capacity(users.len());
    for user in users {
        let login = Login::from_uri(existing, &names.object(user), key, user)?;
        logins.push(login.unwrap_or_else(|| Login::generate(user, rng)));
    }
    Ok(logins)
}

fn operator(
    existing: &Existing,
    names: &Names,
    component: &str,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Login, Error> {
    own_user(existing, names, component, OPERATOR, rng)
}

/// A user that no service has: its password is the value `<user>-password` of the component's Secret.
fn own_user(
    existing: &Existing,
    names: &Names,
    component: &str,
    user: &str,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Login, Error> {
    let found = Login::from_value(existing, &names.object(component), &format!("{user}-password"), user)?;
    Ok(found.unwrap_or_else(|| Login::generate(user, rng)))
}

fn key_file(existing: &Existing, names: &Names, rng: &mut (impl CryptoRng + ?Sized)) -> Result<SecretString, Error> {
    let (secret, key) = (names.object("mongodb"), "keyfile");
    let Some(text) = existing.text(&secret, key)? else {
        let mut bytes = Zeroizing::new([0_u8; 64]);
        rng.fill_bytes(bytes.as_mut());
        return Ok(SecretString::from(STANDARD.encode(bytes.as_ref())));
    };
    let characters = text.chars().filter(|c| !c.is_whitespace());
    if !characters.clone().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')) {
        return Err(broken(&secret, key, "has characters other than those of base64"));
    }
    if !(6..=1024).contains(&characters.count()) {
        return Err(broken(&secret, key, "must have between 6 and 1024 characters"));
    }
    Ok(SecretString::from(text))
}

fn object_storage(
    existing: &Existing,
    names: &Names,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<ObjectStorage, Error> {
    // The media service holds the same account: whichever of the two Secrets is left carries it on.
    for (component, id, secret) in [
        ("object-storage", "access-key-id", "secret-access-key"),
        ("media", "s3-access-key-id", "s3-secret-access-key"),
    ] {
        let object = names.object(component);
        if let (Some(id), Some(secret)) = (existing.text(&object, id)?, existing.text(&object, secret)?) {
            let secret_access_key = SecretString::from(secret);
            return Ok(ObjectStorage { access_key_id: id.to_owned(), secret_access_key, is_own: true });
        }
    }
    let mut bytes = [0_u8; 8];
    rng.fill_bytes(&mut bytes);
    Ok(ObjectStorage {
        access_key_id: format!("CP{}", hex::encode_upper(bytes)),
        secret_access_key: random_text::<32>(rng),
        is_own: true,
    })
}

fn signing_keys(existing: &Existing, names: &Names, rng: &mut (impl CryptoRng + ?Sized)) -> Result<SigningKeys, Error> {
    let secret = names.object("signing-keys");
    match existing.text(&secret, "keys.json")? {
        Some(text) => SigningKeys::parse(&secret, "keys.json", text),
        None => Ok(SigningKeys::generate(rng)),
    }
}

fn message_keys(existing: &Existing, names: &Names, rng: &mut (impl CryptoRng + ?Sized)) -> Result<MessageKeys, Error> {
    let secret = names.object("message-keys");
    match existing.text(&secret, "keys.json")? {
        Some(text) => MessageKeys::parse(&secret, "keys.json", text),
        None if existing.data_stored() => Err(Error::Lost { secret }),
        None => Ok(MessageKeys::generate(rng)),
    }
}

/// Made anew where they are gone, unlike message keys: what is lost is the second steps of those who have one, and an admin
/// can take those away.
fn account_keys(existing: &Existing, names: &Names, rng: &mut (impl CryptoRng + ?Sized)) -> Result<MessageKeys, Error> {
    let secret = names.object("account-keys");
    match existing.text(&secret, "keys.json")? {
        Some(text) => MessageKeys::parse(&secret, "keys.json", text),
        None => Ok(MessageKeys::generate(rng)),
    }
}

fn authority(existing: &Existing, names: &Names, now: Timestamp) -> Result<Certificate, Error> {
    let secret = names.object("ca");
    match Certificate::read(existing, &secret)? {
        // An authority whose life is over vouches for nothing any more; until then who trusts it goes on trusting it.
        Some(authority) if now < authority.not_after() => Ok(authority),
        _ => Certificate::authority(&secret, &names.platform, now),
    }
}

/// The edge's own certificate. One that somebody else made may be in its place, from when the document named it: it is replaced.
fn edge(existing: &Existing, authority: &Certificate, names: &Names, now: Timestamp) -> Result<Certificate, Error> {
    let secret = names.object(EDGE_TLS);
    if existing.is_of_another(&secret, authority.pem()) {
        return authority.issue(&secret, &names.object("edge"), names.edge_subjects(), now);
    }
    leaf(existing, authority, &secret, "edge", names, names.edge_subjects(), now)
}

fn leaf(
    existing: &Existing,
    authority: &Certificate,
    secret: &str,
    component: &str,
    names: &Names,
    subjects: Vec<String>,
    now: Timestamp,
) -> Result<Certificate, Error> {
    match Certificate::read(existing, secret)? {
        Some(leaf) if leaf.serves(authority, &subjects, now) => Ok(leaf),
        _ => authority.issue(secret, &names.object(component), subjects, now),
    }
}

#[cfg(test)]
mod tests;
