//! The key of a Google service account. It is looked through before the notification service is told of it: with one that cannot log in no
//! device would be reached, and only its log would say why.

use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

/// Key of the Secret, and name of the file in the pod.
pub const FILE: &str = "service-account.json";

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "client_email")]
    _client_email: String,
    private_key: String,
    token_uri: String,
}

/// Looks through the file in a Secret; what is wrong, with the cure and without the key.
pub fn check(secret: &Secret) -> Result<(), String> {
    let content = secret.data.as_ref().and_then(|data| data.get(FILE)).map_or(&[][..], |value| &value.0);
    let fault = |what: &str| {
        Err(format!(
            "key {FILE:?} {what}: put the file there that the Firebase console gives out for a service account"
        ))
    };
    // A message of serde's may quote what is secret.
    let Ok(file) = serde_json::from_slice::<File>(content) else {
        return fault("is no JSON with type, client_email, private_key and token_uri");
    };
    if file.kind != "service_account" {
        return fault("is the key of something else than a service account");
    }
    if PrivateKeyDer::from_pem_slice(file.private_key.as_bytes()).is_err() {
        return fault("has a private_key that is none in PEM");
    }
    if !file.token_uri.starts_with("https://") && !file.token_uri.starts_with("http://") {
        return fault("has a token_uri that is no URL");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::*;

    fn file() -> Value {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        json!({
            "type": "service_account",
            "project_id": "acme-chat-1",
            "client_email": "push@acme-chat-1.iam.gserviceaccount.com",
            "private_key": key,
            "token_uri": "https://oauth2.googleapis.com/token",
        })
    }

    fn checked(content: &str) -> Result<(), String> {
        let data = [(FILE.to_owned(), ByteString(content.as_bytes().to_vec()))];
        check(&Secret { data: Some(data.into()), ..Secret::default() })
    }

    #[test]
    fn a_file_as_the_console_gives_it_out_is_good() {
        assert_eq!(checked(&file().to_string()), Ok(()));
    }

    #[test]
    fn what_could_not_log_in_is_found_and_told_without_the_key() {
        for (field, value, told) in [
            ("type", json!("authorized_user"), "something else"),
            ("client_email", Value::Null, "no JSON with"),
            ("private_key", json!("-----BEGIN PRIVATE KEY-----\nhunter2"), "private_key"),
            ("private_key", json!(7), "no JSON with"),
            ("token_uri", json!("oauth2.googleapis.com"), "token_uri"),
        ] {
            let mut bad = file();
            bad[field] = value;
            let fault = checked(&bad.to_string()).unwrap_err();
            assert!(fault.contains(told) && fault.contains(FILE) && !fault.contains("hunter2"), "{fault}");
        }
        assert!(checked("").is_err() && checked(&file()["private_key"].to_string()).is_err());
    }
}
