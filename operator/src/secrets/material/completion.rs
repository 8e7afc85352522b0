//! What exists is kept, what is missing is made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rand::CryptoRng;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::{
    BACKUP, EDGE_TLS, EdgeCertificate, MONGODB_TLS, Material, MongoDb, ObjectStorage, RabbitMq, Redis, Supply,
    own_servers,
};
use crate::secrets::certificate::Certificate;
use crate::secrets::existing::broken;
use crate::secrets::login::random_text;
use crate::secrets::message_keys::MessageKeys;
use crate::secrets::names::Names;
use crate::secrets::signing_keys::SigningKeys;
use crate::secrets::{Credentials, Error, Existing, Externals, Login, redis_acl};

const OPERATOR: &str = "operator";

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
        let mongodb = match externals.connection("mongodb", "uri") {
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
                backup: match externals.backup_account() {
                    Some(_) => Some(backup_user(existing, names, rng)?),
                    None => None,
                },
            }),
        };
        let redis = match externals.connection("redis", "url") {
            Some(connection) => Supply::External(connection),
            None => Supply::Own(Redis {
                operator: operator(existing, names, "redis", rng)?,
                replication: own_user(existing, names, "redis", redis_acl::REPLICATION, rng)?,
                sentinel: own_user(existing, names, "redis", redis_acl::SENTINEL, rng)?,
            }),
        };
        let rabbitmq = match externals.connection("rabbitmq", "uri") {
            Some(connection) => Supply::External(connection),
            None => Supply::Own(RabbitMq {
                operator: operator(existing, names, "rabbitmq", rng)?,
                erlang_cookie: match existing.text(&names.object("rabbitmq"), "erlang-cookie")? {
                    Some(cookie) => SecretString::from(cookie),
                    None => random_text::<32>(rng),
                },
            }),
        };
        let own = own_servers(&mongodb, &redis, &rabbitmq);
        Ok(Self {
            credentials: Credentials::complete(existing, names, &own, rng)?,
            mongodb,
            redis,
            rabbitmq,
            object_storage: match externals.account() {
                Some(account) => account,
                None => object_storage(existing, names, rng)?,
            },
            backup: externals.backup_account(),
            signing_keys: signing_keys(existing, names, rng)?,
            message_keys: message_keys(existing, names, rng)?,
            account_keys: account_keys(existing, names, rng)?,
            authority,
            edge,
        })
    }
}

/// The user that makes backups.
fn backup_user(existing: &Existing, names: &Names, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Login, Error> {
    let found = Login::from_uri(existing, &names.object(BACKUP), "mongodb-uri", BACKUP)?;
    Ok(found.unwrap_or_else(|| Login::generate(BACKUP, rng)))
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
