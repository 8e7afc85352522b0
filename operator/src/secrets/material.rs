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
use super::{Error, Existing, Login, rabbitmq_definitions, redis_acl};

const OPERATOR: &str = "operator";
const OPAQUE: &str = "Opaque";
const TLS: &str = "kubernetes.io/tls";

/// Every secret of a platform, complete.
#[derive(Clone, Debug)]
pub struct Material {
    /// `MongoDB`.
    pub mongodb: MongoDb,
    /// Redis.
    pub redis: Redis,
    /// `RabbitMQ`.
    pub rabbitmq: RabbitMq,
    /// The managed S3 store.
    pub object_storage: ObjectStorage,
    /// Keys that sign access tokens.
    pub signing_keys: SigningKeys,
    /// Keys that wrap the keys of conversations.
    pub message_keys: MessageKeys,
    /// The platform's certificate authority.
    pub authority: Certificate,
    /// The certificate of the edge.
    pub edge: Certificate,
}

/// Secrets of the replica set.
#[derive(Clone, Debug)]
pub struct MongoDb {
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
    /// A user per service.
    pub users: Vec<Login>,
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

/// The account of the managed S3 store.
#[derive(Clone, Debug)]
pub struct ObjectStorage {
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret access key.
    pub secret_access_key: SecretString,
}

impl Material {
    /// Keeps what exists, generates what is missing, renews the edge's certificate when two thirds of its life are over or its
    /// names have changed.
    pub fn complete(
        existing: &Existing,
        names: &Names,
        rng: &mut (impl CryptoRng + ?Sized),
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (authority, edge) = certificates(existing, names, now)?;
        Ok(Self {
            mongodb: MongoDb {
                key_file: key_file(existing, names, rng)?,
                users: users(existing, names, "mongodb-uri", &["auth", "chat", "media", "notification"], rng)?,
            },
            redis: Redis {
                operator: operator(existing, names, "redis", rng)?,
                users: users(existing, names, "redis-url", &["gateway", "auth", "chat"], rng)?,
            },
            rabbitmq: RabbitMq {
                operator: operator(existing, names, "rabbitmq", rng)?,
                erlang_cookie: match existing.text(&names.object("rabbitmq"), "erlang-cookie")? {
                    Some(cookie) => SecretString::from(cookie),
                    None => random_text::<32>(rng),
                },
                users: users(existing, names, "rabbitmq-uri", &["auth", "chat", "notification"], rng)?,
            },
            object_storage: object_storage(existing, names, rng)?,
            signing_keys: signing_keys(existing, names, rng)?,
            message_keys: message_keys(existing, names, rng)?,
            authority,
            edge,
        })
    }

    /// When something here is due for renewal, for the next reconcile.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        self.edge.renew_at()
    }

    /// Digest of what a component reads at its start alone, for an annotation of its pods: when it changes, they must restart.
    /// Everything else is read again by whoever mounts it, or changed in the running server by `provision`.
    #[must_use]
    pub fn read_at_start(&self, component: &str) -> Option<String> {
        let parts: Vec<&str> = match component {
            "mongodb" => vec![self.mongodb.key_file.expose_secret()],
            "redis" => vec![self.redis.operator.exposed()],
            "rabbitmq" => vec![self.rabbitmq.operator.exposed(), self.rabbitmq.erlang_cookie.expose_secret()],
            "object-storage" => {
                vec![&self.object_storage.access_key_id, self.object_storage.secret_access_key.expose_secret()]
            }
            _ => return None,
        };
        let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
        Some(hex::encode(&digest.finalize()[..16]))
    }

    /// The public keys by which tokens are verified, for `ConfigMap` `<p>-jwks`.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.signing_keys.jwks()
    }

    /// The Secrets as they shall be, in the order of their names.
    #[must_use]
    pub fn rendered(&self, names: &Names) -> Vec<Rendered> {
        let mongodb_uri = |user| ("mongodb-uri", names.mongodb_uri(user, password(&self.mongodb.users, user)));
        let redis_url = |user| ("redis-url", names.redis_url(user, password(&self.redis.users, user)));
        let rabbitmq_uri = |user| ("rabbitmq-uri", names.rabbitmq_uri(user, password(&self.rabbitmq.users, user)));
        let operator_password = |login: &Login| ("operator-password", login.exposed().to_owned());
        let s3 = &self.object_storage;
        let (s3_id, s3_secret) = (s3.access_key_id.clone(), s3.secret_access_key.expose_secret().to_owned());
        let acl = redis_acl::file(self.redis.users.iter().chain([&self.redis.operator]));
        let of = |component, data| Rendered::new(names.object(component), component, OPAQUE, data);
        let ring = |object, component, text: &str| {
            Rendered::new(names.object(object), component, OPAQUE, vec![("keys.json", text.to_owned())])
        };
        let tls = |object, certificate: &Certificate, chain: Option<&Certificate>| {
            let own = [("tls.crt", certificate.pem().to_owned()), ("tls.key", certificate.key().to_owned())];
            let chain = chain.map(|authority| ("ca.crt", authority.pem().to_owned()));
            Rendered::new(names.object(object), "edge", TLS, own.into_iter().chain(chain).collect())
        };
        let mut rendered = vec![
            of("auth", vec![mongodb_uri("auth"), redis_url("auth"), rabbitmq_uri("auth")]),
            of("chat", vec![mongodb_uri("chat"), redis_url("chat"), rabbitmq_uri("chat")]),
            of("gateway", vec![redis_url("gateway")]),
            of(
                "media",
                vec![
                    mongodb_uri("media"),
                    ("s3-access-key-id", s3_id.clone()),
                    ("s3-secret-access-key", s3_secret.clone()),
                ],
            ),
            of("notification", vec![mongodb_uri("notification"), rabbitmq_uri("notification")]),
            of("mongodb", vec![("keyfile", self.mongodb.key_file.expose_secret().to_owned())]),
            of("redis", vec![("users.acl", acl), operator_password(&self.redis.operator)]),
            of(
                "rabbitmq",
                vec![
                    ("definitions.json", rabbitmq_definitions::file(&self.rabbitmq.operator)),
                    ("erlang-cookie", self.rabbitmq.erlang_cookie.expose_secret().to_owned()),
                    operator_password(&self.rabbitmq.operator),
                ],
            ),
            of("object-storage", vec![("access-key-id", s3_id), ("secret-access-key", s3_secret)]),
            ring("signing-keys", "auth", self.signing_keys.text()),
            ring("message-keys", "chat", self.message_keys.text()),
            tls("ca", &self.authority, None),
            tls("edge-tls", &self.edge, Some(&self.authority)),
        ];
        rendered.sort_by(|one, other| one.name().cmp(other.name()));
        rendered
    }
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
    let found = Login::from_value(existing, &names.object(component), "operator-password", OPERATOR)?;
    Ok(found.unwrap_or_else(|| Login::generate(OPERATOR, rng)))
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
            return Ok(ObjectStorage { access_key_id: id.to_owned(), secret_access_key: SecretString::from(secret) });
        }
    }
    let mut bytes = [0_u8; 8];
    rng.fill_bytes(&mut bytes);
    Ok(ObjectStorage {
        access_key_id: format!("CP{}", hex::encode_upper(bytes)),
        secret_access_key: random_text::<32>(rng),
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

fn certificates(existing: &Existing, names: &Names, now: Timestamp) -> Result<(Certificate, Certificate), Error> {
    let (ca, edge) = (names.object("ca"), names.object("edge-tls"));
    let authority = match Certificate::read(existing, &ca)? {
        // An authority whose life is over vouches for nothing any more; until then who trusts it goes on trusting it.
        Some(authority) if now < authority.not_after() => authority,
        _ => Certificate::authority(&ca, &names.platform, now)?,
    };
    let subjects = names.edge_subjects();
    let leaf = match Certificate::read(existing, &edge)? {
        Some(leaf) if leaf.serves(&authority, &subjects, now) => leaf,
        _ => authority.issue(&edge, &names.object("edge"), subjects, now)?,
    };
    Ok((authority, leaf))
}

#[cfg(test)]
mod tests;
