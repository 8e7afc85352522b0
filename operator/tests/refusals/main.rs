//! Documents that are refused, each with the field named and words that help: the table beside this file, by theme. The operator's own
//! rules are tried here, as for a document that was stored before the schema had them; `cargo e2e test refusals` tries the same table
//! with a real API server.

#![allow(clippy::unwrap_used)]

mod schema;

use json_patch::merge;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use operator::api::ChatPlatform;
use operator::build::build;
use operator::observe::Observed;
use operator::validate::{Error, Fault, Platform, validate};
use serde::Deserialize;
use serde_json::Value;

const THEMES: [&str; 8] = [
    include_str!("spelling.yaml"),
    include_str!("numbers.yaml"),
    include_str!("names.yaml"),
    include_str!("together.yaml"),
    include_str!("changes.yaml"),
    include_str!("scaling.yaml"),
    include_str!("pods.yaml"),
    include_str!("backup.yaml"),
];

/// A document that is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is wrong with it.
    name: String,
    /// The document before, laid over the minimal one as a JSON merge patch (RFC 7396); none for one that is new.
    before: Option<Value>,
    /// What makes it bad, laid over that.
    bad: Value,
    /// The field that the message must name.
    field: String,
    /// What else the message must say: the value, the cure.
    #[serde(default)]
    words: Vec<String>,
    /// Whether the schema alone can see it.
    #[serde(default)]
    schema: bool,
    /// Whether the operator alone can see it.
    #[serde(default)]
    operator: bool,
}

impl Case {
    fn before(&self) -> Value {
        let mut document: Value = serde_yaml::from_str(include_str!("../../../examples/minimal.yaml")).unwrap();
        document["metadata"]["uid"] = "u-1".into();
        if let Some(before) = &self.before {
            merge(&mut document, before);
        }
        document
    }

    fn bad(&self) -> Value {
        let mut document = self.before();
        merge(&mut document, &self.bad);
        document
    }
}

fn cases() -> Vec<Case> {
    THEMES.iter().flat_map(|theme| serde_yaml::from_str::<Vec<Case>>(theme).unwrap()).collect()
}

#[test]
fn every_bad_document_is_refused_by_the_operator_and_the_field_named() {
    let mut wrong = Vec::new();
    for case in cases().into_iter().filter(|case| !case.schema) {
        let observed = case.before.as_ref().map_or_else(Observed::default, |_| running(&case.before()));
        let faults = faults(&case.bad(), &observed);
        let is_told = |fault: &Fault| {
            fault.field == case.field && case.words.iter().all(|word| fault.message.contains(word.as_str()))
        };
        if !faults.iter().any(is_told) {
            let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
            wrong.push(format!("{}: {} {:?} not in {said:#?}", case.name, case.field, case.words));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_document_that_the_schema_alone_sees_is_refused_by_it_and_the_field_named() {
    let schema = schema::Schema::generated();
    let mut wrong = Vec::new();
    // Whether a rule compares two documents is for an API server to say.
    for case in cases().into_iter().filter(|case| case.schema && case.before.is_none()) {
        let found = schema.faults(&case.bad());
        if !found.contains(&case.field) {
            wrong.push(format!("{}: {} not in {found:?}", case.name, case.field));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_document_before_is_accepted_by_the_schema() {
    let schema = schema::Schema::generated();
    for case in cases() {
        assert_eq!(schema.faults(&case.before()), Vec::<String>::new(), "{}", case.name);
    }
}

#[test]
fn the_table_has_at_least_seventy_cases_and_no_name_twice() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    assert!(names.len() >= 70, "{}", names.len());
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}

#[test]
fn a_case_is_for_the_schema_or_for_the_operator_or_for_both() {
    for case in cases() {
        assert!(!(case.schema && case.operator), "{} is for nobody", case.name);
    }
}

/// A cluster in which a platform of this document runs.
fn running(document: &Value) -> Observed {
    let platform = parsed(document, &Observed::default()).unwrap();
    let resources = build(&platform);
    Observed { stateful_sets: resources.stateful_sets, secrets: resources.secrets, ..Observed::default() }
}

fn faults(document: &Value, observed: &Observed) -> Vec<Fault> {
    match parsed(document, observed) {
        Ok(_) => Vec::new(),
        Err(Error::Spec(faults) | Error::Reference(faults) | Error::Kind(faults)) => faults,
        Err(Error::Secrets(error)) => panic!("{error}"),
    }
}

fn parsed(document: &Value, observed: &Observed) -> Result<Platform, Error> {
    let document: ChatPlatform = serde_json::from_value(document.clone()).unwrap();
    let named = document.spec.named_secrets().map(|name| (name.to_owned(), secret(name))).collect();
    let observed = Observed { named, ..observed.clone() };
    validate(&document, &observed, &mut rand::rng(), jiff::Timestamp::now())
}

/// A Secret with every key that one may be asked for.
fn secret(name: &str) -> Secret {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let values = [
        ("uri", "mongodb://user:password@db.example"),
        ("url", "redis://user:password@redis.example"),
        ("accessKeyId", "id"),
        ("secretAccessKey", "key"),
        ("username", "user"),
        ("password", "password"),
        ("tls.crt", certificate.as_str()),
        ("tls.key", key.as_str()),
    ];
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(values.map(|(key, value)| (key.to_owned(), ByteString(value.into()))).into()),
        ..Secret::default()
    }
}
