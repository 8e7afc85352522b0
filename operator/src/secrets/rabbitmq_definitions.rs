//! The definitions that `RabbitMQ` imports at each start (`load_definitions`): the operator's own user, with which `provision` does
//! the rest. A default user would be made at the very first start only and so could never change its password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::login::Login;
use super::names::Names;

pub(super) fn file(operator: &Login) -> String {
    let everything = ".*";
    json!({
        "users": [{
            "name": operator.user,
            "password_hash": password_hash(operator.exposed()),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["administrator"],
        }],
        "vhosts": [{"name": Names::VIRTUAL_HOST}],
        "permissions": [{
            "user": operator.user,
            "vhost": Names::VIRTUAL_HOST,
            "configure": everything,
            "write": everything,
            "read": everything,
        }],
    })
    .to_string()
}

/// A password as `RabbitMQ` keeps it (manual, "Credentials and Passwords"): base64 of a salt of four bytes followed by
/// SHA-256(salt, password). The salt comes from the password itself, so equal passwords read equal at the next comparison; it need
/// not be random here, where every password is 256 random bits.
#[must_use]
pub fn password_hash(password: &str) -> String {
    let seed = Sha256::new().chain_update("chatplatform rabbitmq salt").chain_update(password).finalize();
    let salt = &seed[..4];
    let hash = Sha256::new().chain_update(salt).chain_update(password).finalize();
    STANDARD.encode([salt, hash.as_slice()].concat())
}
