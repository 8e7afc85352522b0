//! Where messages are looked for.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::email::SecretRef;
use super::rules;

/// What finds messages by their words. Either way it holds keyed tokens in the place of words, so that no text can be read there.
/// Change: rolling restart of the chat service; what was said before is found all the same.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::opensearch_where_it_is_asked_for())]
pub struct Search {
    /// MongoDB looks in an index beside the messages. OpenSearch is a server that somebody else runs: it takes that index, the largest of
    /// all, off MongoDB. Messages are fed to it in the background, and MongoDB goes on finding them until it has all; when it is away
    /// people chat on and only search does not answer.
    /// Default: MongoDB. Change: rolling restart of the chat service; back to MongoDB, nothing is found until its index is made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<SearchBackend>,

    /// The OpenSearch to use. Needed with backend OpenSearch, and only there. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_search: Option<OpenSearch>,
}

/// MongoDB looks in an index beside the messages, OpenSearch is fed with it.
/// Default: MongoDB. Change: rolling restart of the chat service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SearchBackend {
    /// An index beside the messages.
    #[default]
    MongoDB,
    /// A server that somebody else runs.
    OpenSearch,
}

/// An OpenSearch 2 or 3 that somebody else runs. Change: rolling restart of the chat service; one that is empty is filled in the background.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenSearch {
    /// URL of the server, without path, at most 270 characters. http is for one in the same cluster alone.
    #[schemars(length(max = 270))]
    #[x_kube(validation = rules::base_url("https://opensearch.example.com:9200"))]
    pub endpoint: String,

    /// Secret in the same namespace with the keys username and password, and ca.crt where the server's certificate is of an authority of
    /// its own. The user has to be let make, read and write index, and index with -v1 at its end.
    /// What is put there anew is read within two minutes, and nothing restarts. Default: the server wants no log-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,

    /// Name under which the index is there, at most 200 lower-case letters, digits, dashes, underscores and dots. It is made where it is
    /// missing; to have it made anew, delete it. Default: chatplatform-<namespace>-<name>.
    #[schemars(length(max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9][-a-z0-9_.]*$')").message("write the name of an index, such as acme-messages: lower-case letters, digits, dashes, underscores and dots"))]
    pub index: Option<String>,
}
