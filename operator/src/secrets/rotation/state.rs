use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use super::{Kind, Plan};
use crate::secrets::existing::broken;
use crate::secrets::{Error, Names};

/// Annotation of the Secret of a key ring: how far its rotation is. It is written with the ring, by one request, so that neither is ever
/// ahead of the other.
pub const ANNOTATION: &str = "chatplatform.dev/rotation";

/// How far the rotation of a ring is, as a new leader finds it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Identity of the platform whose revisions are counted.
    pub platform: String,
    /// The revision of the document that the last rotation was begun with.
    pub revision: i32,
    /// Number of the generation in use.
    pub generation: i32,
    /// When it came to be used.
    pub rotated_at: Timestamp,
    /// The step that a rotation is at; none at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

/// A step that was begun.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// Id of the key that comes.
    pub key: String,
    /// When it was begun.
    pub since: Timestamp,
}

/// The steps of a rotation, in their order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum StepName {
    /// The new generation is there, and everybody is to accept it.
    Spread,
    /// Everybody does, and caches are to have it.
    Switch,
    /// It is in use, and everybody is to use it.
    Prove,
    /// Everybody does, and what the old one made is to end.
    Retire,
    /// The old one is gone, and nobody is to accept it any more.
    Refuse,
}

impl StepName {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spread => "Spread",
            Self::Switch => "Switch",
            Self::Prove => "Prove",
            Self::Retire => "Retire",
            Self::Refuse => "Refuse",
        }
    }
}

impl State {
    /// The state of a ring of which nothing is written down, or which is another platform's that left it: what the document says of
    /// revisions now is no wish to rotate.
    pub(super) fn adopted(before: Option<Self>, platform: &str, plan: &Plan, now: Timestamp) -> Self {
        match before {
            Some(state) if state.platform == platform => state,
            Some(state) => Self { platform: platform.to_owned(), revision: plan.revision, ..state },
            None => Self {
                platform: platform.to_owned(),
                revision: plan.revision,
                generation: 1,
                rotated_at: seconds(now),
                step: None,
            },
        }
    }

    /// What is written down of a ring, if anything.
    pub fn recorded(secrets: &[Secret], names: &Names, kind: Kind) -> Result<Option<Self>, Error> {
        let name = names.object(kind.object());
        let secret = secrets.iter().find(|secret| secret.name_any() == name);
        let Some(text) = secret.and_then(|secret| secret.annotations().get(ANNOTATION)) else { return Ok(None) };
        let fault = "is not what the operator writes there: remove the annotation, and the next rotation begins anew";
        serde_json::from_str(text).map(Some).map_err(|_| broken(&name, &format!("annotation {ANNOTATION}"), fault))
    }

    /// As it is written down.
    #[must_use]
    pub fn text(&self) -> String {
        // It has no map with keys other than text, which alone have no JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.step.as_ref().map_or("Current", |step| step.name.as_str())
    }
}

/// Whole seconds: more is of no use to people.
pub(super) fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
