//! `provision` against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mongodb;
mod object_storage;
mod rabbitmq;
mod redis;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator::secrets::rotation::Ring as _;
use operator::secrets::{Credentials, Existing, Externals, Login, Material, Names};

fn names() -> Names {
    Names {
        platform: "acme".to_owned(),
        namespace: "chat".to_owned(),
        host: "chat.acme.example".to_owned(),
        mongodb_members: 1,
        redis_replicas: 1,
        rabbitmq_replicas: 1,
    }
}

/// The secrets of a new platform.
fn material() -> Material {
    Material::complete(&Existing::default(), &Externals::default(), &names(), &mut rand::rng(), Timestamp::now())
        .unwrap()
}

/// A value of one of its Secrets.
fn value(material: &Material, secret: &str, key: &str) -> String {
    let rendered = material.rendered(&names());
    let secret = rendered.iter().find(|rendered| rendered.name() == secret).unwrap();
    String::from_utf8(secret.to_secret(ObjectMeta::default()).data.unwrap()[key].0.clone()).unwrap()
}

fn login<'a>(logins: &'a [Login], user: &str) -> &'a Login {
    logins.iter().find(|login| login.user == user).unwrap()
}

/// What services log in with during a rotation, while both generations are accepted, and when the old one is to be refused.
fn rotating(material: &Material) -> (Credentials, Credentials) {
    let (both, new) = material.credentials.with_one_more(&mut rand::rng());
    let alone = both.switched(&new).unwrap().without_others();
    (both, alone)
}

/// An address that nobody listens at: a port that was free a moment ago.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn install_crypto() {
    // Fails when another test of the process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
