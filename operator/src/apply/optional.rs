//! Objects of kinds that a cluster may not have. They are applied and pruned as all others are, by one code for all of these kinds.

use kube::Api;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::Value;

use super::{APPLIED_DIGEST, Applier, Error, drift};
use crate::FIELD_MANAGER;
use crate::build::{Optional, workload};
use crate::observe::Observed;

/// Makes the objects of a kind be as they shall.
pub(super) async fn set(
    to: &Applier<'_>,
    kind: Optional,
    wanted: Vec<DynamicObject>,
    observed: &Observed,
) -> Result<Vec<DynamicObject>, Error> {
    let writer = Writer::new(to, kind);
    let mut applied = Vec::with_capacity(wanted.len());
    for object in wanted {
        let live = observed.of_kind(kind).iter().find(|live| live.name_any() == object.name_any());
        applied.push(writer.one(to, object, live).await?);
    }
    Ok(applied)
}

/// Deletes those of a kind that are ours and no longer wanted.
pub(super) async fn prune(
    to: &Applier<'_>,
    kind: Optional,
    wanted: &[DynamicObject],
    observed: &Observed,
) -> Result<(), Error> {
    let writer = Writer::new(to, kind);
    for live in observed.of_kind(kind) {
        let is_wanted = wanted.iter().any(|object| object.name_any() == live.name_any());
        if !is_wanted && live.metadata.deletion_timestamp.is_none() {
            writer.take_away(to, live).await?;
        }
    }
    Ok(())
}

struct Writer {
    resource: ApiResource,
    api: Api<DynamicObject>,
}

impl Writer {
    fn new(to: &Applier<'_>, kind: Optional) -> Self {
        let resource = kind.resource();
        let api = Api::namespaced_with(to.client.clone(), &to.platform.names.namespace, &resource);
        Self { resource, api }
    }

    async fn one(
        &self,
        to: &Applier<'_>,
        object: DynamicObject,
        live: Option<&DynamicObject>,
    ) -> Result<DynamicObject, Error> {
        let name = object.name_any();
        let wanted = self.with_digest(object)?;
        match live {
            Some(live) if drift::agrees(&wanted, &self.json(live)?) => return Ok(live.clone()),
            Some(_) => {}
            None => {
                let there =
                    self.api.get_metadata_opt(&name).await.map_err(|source| self.refused("look up", &name, source))?;
                if there.is_some_and(|there| !to.is_ours(&there.metadata)) {
                    return Err(Error::Foreign { kind: self.resource.kind.clone(), name });
                }
            }
        }
        tracing::info!(kind = self.resource.kind, name, namespace = to.platform.names.namespace, "applying");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api.patch(&name, &params, &Patch::Apply(&wanted)).await;
        applied.map_err(|source| self.refused("apply", &name, source))
    }

    async fn take_away(&self, to: &Applier<'_>, live: &DynamicObject) -> Result<(), Error> {
        let name = live.name_any();
        tracing::info!(kind = self.resource.kind, name, namespace = to.platform.names.namespace, "pruning");
        let preconditions = Some(Preconditions { uid: live.uid(), resource_version: None });
        match self.api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::background() }).await {
            Ok(_) => Ok(()),
            // Gone already, or another object by now, which the next round looks at.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(source) => Err(self.refused("delete", &name, source)),
        }
    }

    fn with_digest(&self, mut object: DynamicObject) -> Result<Value, Error> {
        let digest = workload::digest([self.json(&object)?.to_string().as_str()]);
        object.annotations_mut().insert(APPLIED_DIGEST.to_owned(), digest);
        self.json(&object)
    }

    fn json(&self, object: &DynamicObject) -> Result<Value, Error> {
        serde_json::to_value(object).map_err(|source| Error::Json {
            kind: self.resource.kind.clone(),
            name: object.name_any(),
            source,
        })
    }

    fn refused(&self, action: &'static str, name: &str, source: kube::Error) -> Error {
        Error::Refused { action, kind: self.resource.kind.clone(), name: name.to_owned(), source: Box::new(source) }
    }
}
