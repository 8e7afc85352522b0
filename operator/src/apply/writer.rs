//! One kind of objects, written: what differs is applied, what is no longer wanted goes.

use std::borrow::Cow;
use std::fmt::Debug;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Applier, Error, drift, fixed, refused};
use crate::FIELD_MANAGER;
use crate::build::{Component, labels, workload};

/// Annotation of every object: a digest of what was applied last.
pub const APPLIED_DIGEST: &str = "chatplatform.dev/applied-digest";

/// Where an object has it, [`APPLIED_DIGEST`] as a part of a JSON pointer (RFC 6901).
const DIGEST: &str = "/metadata/annotations/chatplatform.dev~1applied-digest";

/// Writes that may be under way at once.
const AT_ONCE: usize = 8;

/// What the operator writes.
pub(super) trait Object: Resource + Clone + Debug + DeserializeOwned + Serialize {}
impl<K: Resource + Clone + Debug + DeserializeOwned + Serialize> Object for K {}

/// Who writes the objects of one kind, be its type known to the operator or not.
pub(super) struct Writer<'a, K> {
    pub(super) to: &'a Applier<'a>,
    pub(super) api: Api<K>,
    pub(super) kind: Cow<'static, str>,
}

impl<K: Object> Writer<'_, K> {
    /// Makes the objects be as they shall.
    pub(super) async fn set(&self, wanted: Vec<K>, observed: &[K]) -> Result<Vec<K>, Error> {
        stream::iter(wanted.into_iter().map(|object| self.one(object, observed))).buffered(AT_ONCE).try_collect().await
    }

    async fn one(&self, object: K, observed: &[K]) -> Result<K, Error> {
        let name = object.name_any();
        let mut wanted = self.with_digest(object)?;
        if let Some(live) = observed.iter().find(|live| live.name_any() == name) {
            let there = self.json(live)?;
            if drift::agrees(&wanted, &there) {
                return Ok(live.clone());
            }
            let digest = |object: &Value| object.pointer(DIGEST).cloned();
            if digest(&wanted) == digest(&there) {
                // These very fields were applied last, and are others now.
                self.to.repaired(&self.kind, &name, "which somebody had changed");
            }
            if fixed::differs(&wanted, &there) {
                self.take_away(live, PropagationPolicy::Orphan, "making anew, its pods stay").await?;
            } else if self.kind == Secret::kind(&())
                // What is in a Secret was made from what was in it. Whoever has written it since, another leader above all, knows better:
                // the API server then answers 409, and this is decided anew.
                && let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.insert("resourceVersion".to_owned(), live.resource_version().into());
            }
        } else {
            self.refuse_foreign(&name).await?;
            // A Job that is gone is one that is to be tried again.
            if self.to.settled && self.kind != Job::kind(&()) {
                self.to.repaired(&self.kind, &name, "which was gone");
            }
        }
        tracing::info!(kind = %self.kind, name, namespace = self.to.platform.names.namespace, "applying");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.api.patch(&name, &params, &Patch::Apply(&wanted)).await.map_err(refused("apply", &self.kind, &name))
    }

    /// Forced apply would take over whatever has that name.
    async fn refuse_foreign(&self, name: &str) -> Result<(), Error> {
        let there = self.api.get_metadata_opt(name).await.map_err(refused("look up", &self.kind, name))?;
        match there {
            Some(there) if !self.to.is_ours(&there.metadata) => {
                Err(Error::Foreign { kind: self.kind.clone().into_owned(), name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Deletes what is ours and not among what is wanted.
    pub(super) async fn prune(&self, wanted: &[K], observed: &[K]) -> Result<(), Error> {
        for live in observed {
            let name = live.name_any();
            let edge = live.labels().get(labels::NAME).is_some_and(|label| label == Component::Edge.name());
            // The edge is left out of what is wanted while it is not known what stands behind it.
            let unknown = edge && self.to.platform.upstreams.is_none();
            if unknown
                || live.meta().deletion_timestamp.is_some()
                || wanted.iter().any(|object| object.name_any() == name)
            {
                continue;
            }
            self.take_away(live, PropagationPolicy::Background, "pruning").await?;
        }
        Ok(())
    }

    /// Deletes an object, unless another has taken its place.
    pub(super) async fn take_away(&self, live: &K, propagation: PropagationPolicy, why: &str) -> Result<(), Error> {
        let name = live.name_any();
        tracing::info!(kind = %self.kind, name, namespace = self.to.platform.names.namespace, "{why}");
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api.delete(&name, &params).await {
            Ok(_) => Ok(()),
            // Gone already, or another object by now, which the next round looks at.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(refused("delete", &self.kind, &name)(error)),
        }
    }

    fn with_digest(&self, mut object: K) -> Result<Value, Error> {
        let digest = workload::digest([self.json(&object)?.to_string().as_str()]);
        object.annotations_mut().insert(APPLIED_DIGEST.to_owned(), digest);
        self.json(&object)
    }

    fn json(&self, object: &K) -> Result<Value, Error> {
        serde_json::to_value(object).map_err(|source| Error::Json {
            kind: self.kind.clone().into_owned(),
            name: object.name_any(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_found_where_it_is_put() {
        let object = serde_json::json!({"metadata": {"annotations": {APPLIED_DIGEST: "digest"}}});
        assert_eq!(object.pointer(DIGEST), Some(&Value::from("digest")));
    }
}
