//! A document as the watch tells of it: one that this operator's types can hold, or one that was stored under another definition.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::ChatPlatform;

/// A `ChatPlatform`, or what is known of one that cannot be read.
#[derive(Clone, Debug)]
pub enum Document {
    /// One that can be.
    Readable(Box<ChatPlatform>),
    /// One that cannot.
    Unreadable(Box<Unreadable>),
}

/// What is known of a document all the same.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its name and all that Kubernetes keeps beside it.
    pub metadata: ObjectMeta,
    /// What is wrong with it, and where.
    pub error: String,
}

// From bytes, as everything is read that the API server answers: the code that reads the types that they share is in the program once, and
// not again for another form that a document may come in.
impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        match serde_json::from_slice(value.to_string().as_bytes()) {
            Ok(platform) => Ok(Self::Readable(platform)),
            Err(error) => {
                let metadata = value.get_mut("metadata").map(Value::take).unwrap_or_default();
                let metadata = serde_json::from_slice(metadata.to_string().as_bytes()).map_err(D::Error::custom)?;
                // Where in a text that nobody has seen is of no use.
                let error = error.to_string();
                let error = error.split(" at line ").next().unwrap_or_default().to_owned();
                Ok(Self::Unreadable(Box::new(Unreadable { metadata, error })))
            }
        }
    }
}

impl Resource for Document {
    type DynamicType = ();
    type Scope = <ChatPlatform as Resource>::Scope;

    fn kind(of: &()) -> Cow<'_, str> {
        ChatPlatform::kind(of)
    }

    fn group(of: &()) -> Cow<'_, str> {
        ChatPlatform::group(of)
    }

    fn version(of: &()) -> Cow<'_, str> {
        ChatPlatform::version(of)
    }

    fn plural(of: &()) -> Cow<'_, str> {
        ChatPlatform::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Readable(platform) => &platform.metadata,
            Self::Unreadable(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Readable(platform) => &mut platform.metadata,
            Self::Unreadable(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> Document {
        let document = json!({
            "apiVersion": "chatplatform.dev/v1alpha1", "kind": "ChatPlatform", "metadata": {"name": "acme"}, "spec": spec,
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_document_is_read_whole() {
        let Document::Readable(platform) = read(&json!({"host": "a.example", "web": {"replicas": 2}})) else {
            panic!("it cannot be read")
        };
        assert_eq!((platform.name_any(), platform.spec.web.unwrap().replicas), ("acme".into(), Some(2)));
    }

    #[test]
    fn of_one_that_cannot_be_read_its_name_is_known_and_what_is_wrong() {
        let document = read(&json!({"host": "a.example", "mongodb": {"members": "three"}}));
        let Document::Unreadable(unreadable) = &document else { panic!("it can be read") };
        assert_eq!(document.name_any(), "acme");
        assert_eq!(unreadable.error, "invalid type: string \"three\", expected i32");
    }
}
