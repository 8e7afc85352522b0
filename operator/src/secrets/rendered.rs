use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use secrecy::zeroize::Zeroizing;

/// A Secret as it shall be, without metadata. Its `Debug` shows names of keys alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    name: String,
    component: &'static str,
    kind: &'static str,
    data: BTreeMap<&'static str, Zeroizing<Vec<u8>>>,
}

impl Rendered {
    pub(super) fn new(
        name: String,
        component: &'static str,
        kind: &'static str,
        data: Vec<(&'static str, String)>,
    ) -> Self {
        let data = data.into_iter().map(|(key, value)| (key, Zeroizing::new(value.into_bytes()))).collect();
        Self { name, component, kind, data }
    }

    /// Name of the Secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The component it belongs to, for the label `app.kubernetes.io/name`.
    #[must_use]
    pub fn component(&self) -> &'static str {
        self.component
    }

    /// The Secret to apply; `metadata` brings labels, namespace and owner, its name is set here.
    #[must_use]
    pub fn to_secret(&self, metadata: ObjectMeta) -> Secret {
        let value = |value: &Zeroizing<Vec<u8>>| ByteString(value.to_vec());
        Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..metadata },
            type_: Some(self.kind.to_owned()),
            data: Some(self.data.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect()),
            ..Secret::default()
        }
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").field("name", &self.name).field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}
