//! The way to `OpenSearch`: an index of tokens, without a word of any text.
//!
//! The index is reached by an alias, so that writing never makes one by accident and a later form of it can take its place. Documents have
//! no source: what is there can be found by and not be read back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::id::{ConversationId, MessageId};
use mongodb::bson::Binary;
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode};
use runtime::telemetry::chain;
use runtime::watched::{Watched, WatchedError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Wanted;
use crate::settings::Search;

/// How long a search may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a batch of documents may take.
const BULK_PATIENCE: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection without work is kept.
const IDLE: Duration = Duration::from_mins(1);

/// Why `OpenSearch` did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum OpenSearchError {
    /// It does not answer.
    #[error("it does not answer: {0}")]
    Unreachable(String),
    /// It does not know the account, or does not let it do this.
    #[error("it does not let the account in ({0}): see the Secret, and the account's rights to the index")]
    Forbidden(StatusCode),
    /// The index is not there (any more).
    #[error("the index is not there")]
    NoIndex,
    /// It refuses for now.
    #[error("it refuses: {0}")]
    Refused(String),
    /// What it answers is not understood.
    #[error("its answer is not understood: {0}")]
    Answer(String),
}

/// What becomes of a document.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// It is to be found by these tokens.
    Put {
        /// The message.
        id: MessageId,
        /// The number of its last change.
        version: u64,
        /// Its conversation.
        conversation: ConversationId,
        /// What it is found by.
        tokens: Vec<Binary>,
    },
    /// It is not to be found.
    Delete {
        /// The message.
        id: MessageId,
        /// The number of its last change.
        version: u64,
    },
}

/// An index in `OpenSearch`. Clones lead to the same one.
#[derive(Clone, Debug)]
pub struct OpenSearch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    login: Option<(Watched<String>, Watched<String>)>,
    /// URL of the alias.
    url: String,
    /// URL of the index itself.
    index_url: String,
    alias: String,
}

/// Clients, by whom they trust.
#[derive(Debug)]
struct Http {
    /// Whom the system trusts.
    system: Client,
    /// Where authorities may be that are trusted in their place.
    authorities: Option<PathBuf>,
    /// Those authorities, once they have been seen.
    own: OnceLock<Watched<Client>>,
}

/// Why the way cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum OpenSearchSettingsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] WatchedError),
    /// There is no client.
    #[error("no HTTP client can be made")]
    Client(#[from] reqwest::Error),
}

impl OpenSearch {
    /// The index that the settings tell of. Nothing is asked yet.
    pub fn new(settings: &Search) -> Result<Self, OpenSearchSettingsError> {
        let login = match (&settings.username_file, &settings.password_file) {
            (Some(username), Some(password)) => Some((Watched::load(username, line)?, Watched::load(password, line)?)),
            _ => None,
        };
        // Beside the password, where the Secret has it.
        let authorities = settings.password_file.as_deref().map(|password| password.with_file_name("ca.crt"));
        let http = Http { system: builder().build()?, authorities, own: OnceLock::new() };
        http.client()?;
        let (endpoint, alias) = (settings.endpoint.trim_end_matches('/'), settings.index.clone());
        let (url, index_url) = (format!("{endpoint}/{alias}"), format!("{endpoint}/{alias}-v1"));
        Ok(Self(Arc::new(Inner { http, login, url, index_url, alias })))
    }

    /// Where the index is: its URL.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.url
    }

    /// For [`runtime::health::Health::inform`].
    pub async fn ping(&self) -> Result<(), OpenSearchError> {
        self.id().await.map(drop)
    }

    /// The id that the server gave the index; none where there is no index.
    pub(super) async fn id(&self) -> Result<Option<String>, OpenSearchError> {
        #[derive(Deserialize)]
        struct Index {
            settings: Settings,
        }
        #[derive(Deserialize)]
        struct Settings {
            index: Identity,
        }
        #[derive(Deserialize)]
        struct Identity {
            uuid: String,
        }
        type Found = BTreeMap<String, Index>;
        // Asked for by the alias: an index that has lost it cannot be used.
        let url = format!("{}/_settings/index.uuid", self.0.url);
        match self.ask::<Found>(self.request(Method::GET, &url)?.timeout(PATIENCE)).await {
            Ok(found) if found.contains_key(&self.0.alias) => {
                let alias = &self.0.alias;
                Err(OpenSearchError::Refused(format!("{alias:?} is an index, and not an alias of one: delete it")))
            }
            Ok(found) => Ok(found.into_iter().next().map(|(_, index)| index.settings.index.uuid)),
            Err(OpenSearchError::NoIndex) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the index, and its alias.
    pub(super) async fn create(&self) -> Result<(), OpenSearchError> {
        let keyword = json!({"type": "keyword", "doc_values": false});
        let body = json!({
            "aliases": {&self.0.alias: {}},
            "mappings": {
                "dynamic": "strict",
                "_source": {"enabled": false},
                "properties": {"conversation": keyword, "message": {"type": "keyword"}, "tokens": keyword},
            },
        });
        let request = self.request(Method::PUT, &self.0.index_url)?.timeout(BULK_PATIENCE).json(&body);
        self.ask::<Value>(request).await.map(drop)
    }

    /// Writes documents, each unless a newer form of it is there already. Gives how many it will never take.
    pub(super) async fn write(&self, entries: &[Entry]) -> Result<u64, OpenSearchError> {
        #[derive(Deserialize)]
        struct Written {
            #[serde(default)]
            items: Vec<BTreeMap<String, Item>>,
        }
        #[derive(Deserialize)]
        struct Item {
            status: u16,
            #[serde(default)]
            error: Option<Fault>,
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let url =
            format!("{}/_bulk?require_alias=true&filter_path=items.*.status,items.*.error.type,error.type", self.0.url);
        let request = self.request(Method::POST, &url)?.timeout(BULK_PATIENCE);
        let request = request.header("content-type", "application/x-ndjson").body(lines(entries));
        let written: Written = self.ask(request).await?;
        let mut never = 0;
        for Item { status, error } in written.items.into_iter().flat_map(BTreeMap::into_values) {
            let fault = error.map(|fault| fault.kind).unwrap_or_default();
            match (status, fault.as_str()) {
                // 404: there was nothing to delete. 409: what is there is newer.
                (200..300 | 409, _) | (404, "") => {}
                (404, _) => return Err(OpenSearchError::NoIndex),
                (400, _) => {
                    tracing::error!(fault, "OpenSearch will never take a document");
                    never += 1;
                }
                _ => return Err(OpenSearchError::Refused(format!("{status} {fault}"))),
            }
        }
        Ok(never)
    }

    /// Makes everything that was written findable at once; else it is so after a second.
    pub(super) async fn refresh(&self) -> Result<(), OpenSearchError> {
        let request = self.request(Method::POST, &format!("{}/_refresh", self.0.url))?.timeout(BULK_PATIENCE);
        self.ask::<Value>(request).await.map(drop)
    }

    /// Ids of messages that have all tokens of one of the conversations, older than `before`, newest first.
    pub(super) async fn find(
        &self,
        wanted: &[Wanted],
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageId>, OpenSearchError> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            hits: Hits,
        }
        #[derive(Default, Deserialize)]
        struct Hits {
            #[serde(default)]
            hits: Vec<Hit>,
        }
        #[derive(Deserialize)]
        struct Hit {
            #[serde(rename = "_id")]
            id: MessageId,
        }
        // Nothing is found in part: a shard that does not answer would hide messages.
        let url =
            format!("{}/_search?allow_partial_search_results=false&filter_path=hits.hits._id,error.type", self.0.url);
        let request = self.request(Method::POST, &url)?.timeout(PATIENCE).json(&query(wanted, before, limit));
        let found: Found = self.ask(request).await?;
        Ok(found.hits.hits.into_iter().map(|hit| hit.id).collect())
    }

    fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, OpenSearchError> {
        let client = self.0.http.client().map_err(|error| OpenSearchError::Unreachable(chain(&error)))?;
        let request = client.request(method, url);
        Ok(match &self.0.login {
            None => request,
            Some((username, password)) => request.basic_auth(username.get(), Some(password.get())),
        })
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, OpenSearchError> {
        let unreachable = |error: reqwest::Error| OpenSearchError::Unreachable(chain(&error.without_url()));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        match status {
            _ if status.is_success() => {
                serde_json::from_slice(&body).map_err(|error| OpenSearchError::Answer(error.to_string()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_blocked(&body) => {
                Err(OpenSearchError::Forbidden(status))
            }
            StatusCode::NOT_FOUND => Err(OpenSearchError::NoIndex),
            _ => Err(OpenSearchError::Refused(format!("{status} {}", fault(&body).kind))),
        }
    }
}

impl Http {
    fn client(&self) -> Result<Client, WatchedError> {
        if let Some(own) = self.own.get() {
            return Ok(own.get().as_ref().clone());
        }
        match self.authorities.as_deref().filter(|path| path.exists()) {
            None => Ok(self.system.clone()),
            Some(path) => {
                let own = Watched::load(path, trusting)?;
                Ok(self.own.get_or_init(|| own).get().as_ref().clone())
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default, rename = "type")]
    kind: String,
}

/// The sort of an error, never its words: they may quote what was sent.
fn fault(body: &[u8]) -> Fault {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(default)]
        error: Fault,
    }
    serde_json::from_slice::<Refusal>(body).unwrap_or_default().error
}

/// Writing is also forbidden to everybody where the disk is full.
fn is_blocked(body: &[u8]) -> bool {
    fault(body).kind == "cluster_block_exception"
}

fn query(wanted: &[Wanted], before: Option<MessageId>, limit: usize) -> Value {
    let term = |field: &str, value: &str| json!({"term": {field: value}});
    let any: Vec<Value> = wanted
        .iter()
        .map(|(conversation, tokens)| {
            let tokens = tokens.iter().map(|token| term("tokens", &written(token)));
            let all: Vec<Value> =
                std::iter::once(term("conversation", &conversation.to_string())).chain(tokens).collect();
            json!({"bool": {"filter": all}})
        })
        .collect();
    let mut filter = vec![json!({"bool": {"should": any, "minimum_should_match": 1}})];
    filter.extend(before.map(|before| json!({"range": {"message": {"lt": before.to_string()}}})));
    json!({
        "query": {"bool": {"filter": filter}},
        "sort": [{"message": "desc"}],
        "size": limit,
        "track_total_hits": false,
        "_source": false,
    })
}

/// The body of a bulk request: an action a line, and below it the document that it writes.
fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut line = |value: Value| {
        text.push_str(&value.to_string());
        text.push('\n');
    };
    for entry in entries {
        // An equal version passes: what was written before a crash is written again.
        let head =
            |id: &MessageId, version: &u64| json!({"_id": id, "version": version, "version_type": "external_gte"});
        match entry {
            Entry::Delete { id, version } => line(json!({"delete": head(id, version)})),
            Entry::Put { id, version, conversation, tokens } => {
                line(json!({"index": head(id, version)}));
                let tokens: Vec<String> = tokens.iter().map(written).collect();
                line(json!({"conversation": conversation, "message": id, "tokens": tokens}));
            }
        }
    }
    text
}

fn written(token: &Binary) -> String {
    URL_SAFE_NO_PAD.encode(&token.bytes)
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(IDLE)
}

fn line(content: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(content).map_err(|_| "it is no text")?.trim();
    if text.is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

fn trusting(content: &[u8]) -> Result<Client, String> {
    let certificates = Certificate::from_pem_bundle(content).map_err(|error| chain(&error))?;
    if certificates.is_empty() {
        return Err("it holds no certificate in PEM".to_owned());
    }
    builder().tls_certs_only(certificates).build().map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use mongodb::bson::spec::BinarySubtype;

    use super::*;

    fn token(bytes: [u8; 8]) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_batch_is_a_line_for_each_action_and_one_for_each_document() {
        let (id, conversation) = (MessageId::generate(), ConversationId::generate());
        let entries = [
            Entry::Put { id, version: 7, conversation, tokens: vec![token([255; 8])] },
            Entry::Delete { id, version: 8 },
        ];
        let text = lines(&entries);
        assert!(text.ends_with('\n'));
        let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let head = |version| json!({"_id": id, "version": version, "version_type": "external_gte"});
        let document = json!({"conversation": conversation, "message": id, "tokens": ["__________8"]});
        assert_eq!(read, [json!({"index": head(7)}), document, json!({"delete": head(8)})]);
    }

    #[test]
    fn an_error_is_told_by_its_sort_and_never_by_words_that_quote_what_was_sent() {
        let body = br#"{"error": {"type": "parsing_exception", "reason": "secret"}, "status": 400}"#;
        assert_eq!(fault(body).kind, "parsing_exception");
        assert_eq!(fault(b"<html>").kind, "");
        assert!(is_blocked(br#"{"error": {"type": "cluster_block_exception"}}"#));
    }

    #[test]
    fn a_login_is_one_line_and_authorities_are_certificates() {
        assert_eq!(line(b"chat\n").unwrap(), "chat");
        assert!(line(b" \n").is_err() && line(&[0xff]).is_err());
        assert!(trusting(b"none").is_err());
    }
}
