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
    /// MongoDB.
    pub mongodb: MongoDb,
    /// Redis.
    pub redis: Redis,
    /// RabbitMQ.
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

/// Secrets of RabbitMQ.
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

    /// The public keys by which tokens are verified, for ConfigMap `<p>-jwks`.
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

fn key_file(
    existing: &Existing,
    names: &Names,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SecretString, Error> {
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
    for (component, id, secret) in
        [("object-storage", "access-key-id", "secret-access-key"), ("media", "s3-access-key-id", "s3-secret-access-key")]
    {
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

fn signing_keys(
    existing: &Existing,
    names: &Names,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SigningKeys, Error> {
    let secret = names.object("signing-keys");
    match existing.text(&secret, "keys.json")? {
        Some(text) => SigningKeys::parse(&secret, "keys.json", text),
        None => Ok(SigningKeys::generate(rng)),
    }
}

fn message_keys(
    existing: &Existing,
    names: &Names,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<MessageKeys, Error> {
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn names() -> Names {
        Names {
            platform: "acme".to_owned(),
            namespace: "chat".to_owned(),
            host: "chat.acme.example".to_owned(),
            mongodb_members: 1,
        }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn complete(secrets: &[Secret], seed: u64, at: Timestamp) -> Result<Material, Error> {
        let existing = Existing::new(secrets.iter().cloned());
        Material::complete(&existing, &names(), &mut StdRng::seed_from_u64(seed), at)
    }

    fn secrets(material: &Material) -> Vec<Secret> {
        material.rendered(&names()).iter().map(|rendered| rendered.to_secret(ObjectMeta::default())).collect()
    }

    fn value<'a>(secrets: &'a mut [Secret], name: &str, key: &str) -> &'a mut Vec<u8> {
        let secret = secrets.iter_mut().find(|secret| secret.metadata.name.as_deref() == Some(name)).unwrap();
        &mut secret.data.as_mut().unwrap().get_mut(key).unwrap().0
    }

    fn text(secrets: &[Secret], name: &str, key: &str) -> String {
        String::from_utf8(value(&mut secrets.to_vec(), name, key).clone()).unwrap()
    }

    #[test]
    fn what_exists_is_kept_byte_for_byte_whatever_the_random_numbers_are() {
        let first = secrets(&complete(&[], 1, now()).unwrap());
        let again = secrets(&complete(&first, 2, now() + jiff::SignedDuration::from_hours(24 * 30)).unwrap());
        assert_eq!(first, again);
    }

    #[test]
    fn two_platforms_share_no_secret() {
        let (one, other) = (secrets(&complete(&[], 1, now()).unwrap()), secrets(&complete(&[], 2, now()).unwrap()));
        for (one, other) in one.iter().zip(&other) {
            for (key, value) in one.data.as_ref().unwrap() {
                assert_ne!(value, &other.data.as_ref().unwrap()[key], "{:?} {key}", one.metadata.name);
            }
        }
    }

    #[test]
    fn a_secret_that_is_gone_is_made_again_and_the_others_stay() {
        let first = secrets(&complete(&[], 1, now()).unwrap());
        let without: Vec<_> =
            first.iter().filter(|secret| secret.metadata.name.as_deref() != Some("acme-auth")).cloned().collect();
        let again = secrets(&complete(&without, 2, now()).unwrap());
        assert_ne!(text(&first, "acme-auth", "mongodb-uri"), text(&again, "acme-auth", "mongodb-uri"));
        assert_eq!(text(&first, "acme-chat", "mongodb-uri"), text(&again, "acme-chat", "mongodb-uri"));
        // Redis must know the new password.
        assert_ne!(text(&first, "acme-redis", "users.acl"), text(&again, "acme-redis", "users.acl"));
    }

    #[test]
    fn the_account_of_the_store_outlives_the_loss_of_either_secret() {
        let first = secrets(&complete(&[], 1, now()).unwrap());
        for lost in ["acme-object-storage", "acme-media"] {
            let left: Vec<_> =
                first.iter().filter(|secret| secret.metadata.name.as_deref() != Some(lost)).cloned().collect();
            let again = secrets(&complete(&left, 2, now()).unwrap());
            let key = |secrets: &[Secret]| text(secrets, "acme-object-storage", "secret-access-key");
            assert_eq!(key(&first), key(&again));
        }
    }

    #[test]
    fn a_broken_value_is_an_error_that_names_secret_and_key_and_shows_nothing() {
        let first = secrets(&complete(&[], 1, now()).unwrap());
        for (name, key) in [
            ("acme-auth", "mongodb-uri"),
            ("acme-chat", "redis-url"),
            ("acme-mongodb", "keyfile"),
            ("acme-redis", "operator-password"),
            ("acme-signing-keys", "keys.json"),
            ("acme-message-keys", "keys.json"),
            ("acme-ca", "tls.crt"),
            ("acme-edge-tls", "tls.key"),
        ] {
            for garbage in ["", "gar:bage@%%", "\u{0}"] {
                let mut secrets = first.clone();
                garbage.as_bytes().clone_into(value(&mut secrets, name, key));
                let error = complete(&secrets, 2, now()).unwrap_err();
                assert_eq!(error.category(), "SecretBroken");
                let message = error.to_string();
                assert!(message.contains(name) && message.contains(key), "{message}");
                assert!(!message.contains("gar:bage"), "{message}");
            }
        }
    }

    #[test]
    fn message_keys_that_are_gone_while_messages_are_stored_are_not_replaced() {
        let names = names();
        let error = Material::complete(
            &Existing::default().with_data_stored(true),
            &names,
            &mut StdRng::seed_from_u64(1),
            now(),
        );
        assert_eq!(error.unwrap_err().category(), "SecretLost");
    }

    #[test]
    fn a_uri_follows_the_members_and_keeps_its_password() {
        let first = complete(&[], 1, now()).unwrap();
        let mut names = names();
        names.mongodb_members = 3;
        let existing = Existing::new(secrets(&first));
        let grown = Material::complete(&existing, &names, &mut StdRng::seed_from_u64(2), now()).unwrap();
        assert_eq!(password(&first.mongodb.users, "chat"), password(&grown.mongodb.users, "chat"));
        let rendered = grown.rendered(&names);
        let chat = rendered.iter().find(|rendered| rendered.name() == "acme-chat").unwrap();
        let uri = chat.to_secret(ObjectMeta::default()).data.unwrap()["mongodb-uri"].clone();
        let hosts = (0..3).map(|n| format!("acme-mongodb-{n}.acme-mongodb.chat.svc:27017")).collect::<Vec<_>>().join(",");
        let password = password(&grown.mongodb.users, "chat");
        let wanted = format!("mongodb://chat:{password}@{hosts}/chat?replicaSet=rs0&authSource=admin");
        assert_eq!(uri, ByteString(wanted.into_bytes()));
    }

    #[test]
    fn the_certificate_of_the_edge_is_renewed_at_two_thirds_of_its_life_by_the_same_authority() {
        let first = complete(&[], 1, now()).unwrap();
        let day = |days: i64| now() + jiff::SignedDuration::from_hours(24 * days);
        let kept = complete(&secrets(&first), 2, day(59)).unwrap();
        assert_eq!(kept.edge.pem(), first.edge.pem());
        let renewed = complete(&secrets(&first), 2, day(61)).unwrap();
        assert_ne!(renewed.edge.pem(), first.edge.pem());
        assert_eq!(renewed.authority.pem(), first.authority.pem());
        assert!(renewed.edge.not_after() > day(150));
        assert!(first.renew_at() > day(59) && first.renew_at() < day(61));
    }

    #[test]
    fn another_host_or_another_authority_makes_another_certificate() {
        let first = complete(&[], 1, now()).unwrap();
        let mut other = names();
        other.host = "talk.acme.example".to_owned();
        let existing = Existing::new(secrets(&first));
        let moved = Material::complete(&existing, &other, &mut StdRng::seed_from_u64(2), now()).unwrap();
        assert_ne!(moved.edge.pem(), first.edge.pem());
        assert_eq!(moved.authority.pem(), first.authority.pem());

        let left: Vec<_> = secrets(&first).into_iter().filter(|s| s.metadata.name.as_deref() != Some("acme-ca")).collect();
        let reissued = complete(&left, 2, now()).unwrap();
        assert_ne!(reissued.edge.pem(), first.edge.pem());
        assert!(reissued.edge.serves(&reissued.authority, &names().edge_subjects(), now()));
        assert!(!first.edge.serves(&reissued.authority, &names().edge_subjects(), now()));
    }

    #[test]
    fn the_acl_file_closes_the_default_user_and_holds_no_password() {
        let material = complete(&[], 1, now()).unwrap();
        let acl = text(&secrets(&material), "acme-redis", "users.acl");
        assert!(acl.starts_with("user default off "));
        for login in material.redis.users.iter().chain([&material.redis.operator]) {
            assert!(acl.contains(&format!("user {} on #", login.user)));
            assert!(!acl.contains(login.exposed()));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let material = complete(&[], 1, now()).unwrap();
        let existing = Existing::new(secrets(&material));
        let shown = format!("{material:?} {:?} {existing:?}", material.rendered(&names()));
        let hidden = [
            password(&material.mongodb.users, "auth"),
            material.redis.operator.exposed(),
            material.mongodb.key_file.expose_secret(),
            material.signing_keys.text(),
            material.message_keys.text(),
            material.object_storage.secret_access_key.expose_secret(),
            "PRIVATE KEY",
        ];
        for secret in hidden {
            assert!(!shown.contains(secret));
        }
    }

    #[test]
    fn pods_restart_only_for_what_they_read_at_their_start() {
        let first = complete(&[], 1, now()).unwrap();
        let mut kept = secrets(&first);
        kept.retain(|secret| secret.metadata.name.as_deref() != Some("acme-auth"));
        let again = complete(&kept, 2, now()).unwrap();
        for component in ["mongodb", "redis", "rabbitmq", "object-storage"] {
            assert!(first.read_at_start(component).is_some());
            assert_eq!(first.read_at_start(component), again.read_at_start(component));
        }
        assert_eq!(first.read_at_start("chat"), None);
        let other = complete(&[], 3, now()).unwrap();
        assert_ne!(first.read_at_start("redis"), other.read_at_start("redis"));
    }
}
