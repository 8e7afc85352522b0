//! What starts a run: the documents themselves, everything the operator has made, and the Secrets that documents name.

mod news;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::controller::{Config, Controller, Error as ControllerError};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{PredicateConfig, WatchStreamExt as _, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use news::News;

use crate::build::{HorizontalPodAutoscaler, Optional, labels};
use crate::document::Document;
use crate::reconcile::{Context, error_policy, reconcile};

/// Platforms that are worked on at once.
const AT_ONCE: u16 = 4;
/// How long events are gathered before a run: a change of one platform brings dozens.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Runs the pipeline whenever something changes, in one namespace or in all, until `stop`; runs under way are finished.
pub async fn run(client: Client, namespace: Option<&str>, context: Arc<Context>, stop: CancellationToken) {
    let (reader, writer) = store::<Document>();
    let documents = watcher(platforms_in::<Document>(&client, namespace), watcher::Config::default())
        .default_backoff()
        .modify(|document| document.meta_mut().managed_fields = None)
        .reflect(writer)
        .applied_objects()
        // The status is our own, and no reason to run.
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let counting = context.clone();
    let documents = documents.inspect(move |document| {
        if let Ok(document) = document {
            counting.saw(document);
        }
    });
    let named = reader.clone();
    let platforms = reader.clone();
    let mut controller = Controller::for_stream(documents, reader)
        .with_config(Config::default().concurrency(AT_ONCE).debounce(DEBOUNCE));
    // Not pods: what makes them tells in its own status of each that becomes ready, or no longer is.
    for made in [
        kind::<ConfigMap>(),
        kind::<Service>(),
        kind::<StatefulSet>(),
        kind::<Deployment>(),
        kind::<Job>(),
        kind::<PodDisruptionBudget>(),
        kind::<NetworkPolicy>(),
    ] {
        let changes = changes(&client, namespace, &made, ours(), News::all());
        controller = controller.watches_stream_with(changes, |object| platform_of(&object), made);
    }
    // Each tells four times a minute what its pods use.
    let made = kind::<HorizontalPodAutoscaler>();
    let wishes = changes(&client, namespace, &made, ours(), News::of_wishes());
    controller = controller.watches_stream_with(wishes, |object| platform_of(&object), made);
    for asked in Optional::ALL {
        let (begun, kind) = (context.asked().begun(asked), asked.resource());
        let changes = changes(&client, namespace, &kind, ours(), News::all());
        let changes = begun.cancelled_owned().map(move |()| changes).flatten_stream();
        controller = controller.watches_stream_with(changes, |object| platform_of(&object), kind);
    }
    // All of them: users' own carry no label of ours.
    let secrets = changes(&client, namespace, &kind::<Secret>(), watcher::Config::default(), News::all());
    controller
        .watches_stream_with(
            secrets,
            move |secret| platform_of(&secret).map_or_else(|| naming(&named, &secret), |platform| vec![platform]),
            kind::<Secret>(),
        )
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, error_policy, context.clone())
        .for_each(|outcome| {
            match outcome {
                // What a platform owned is being removed after it.
                Err(ControllerError::ObjectNotFound(_)) => context
                    .forget(|uid| platforms.state().iter().any(|document| document.meta().uid.as_deref() == Some(uid))),
                Err(ControllerError::QueueError(error)) => {
                    tracing::warn!(error = %error, "a watch was interrupted; it goes on");
                }
                // Told by the error policy.
                Err(ControllerError::ReconcilerFailed(..) | _) | Ok(_) => {}
            }
            std::future::ready(())
        })
        .await;
}

/// The platforms of one namespace, or all, read as `K`.
#[must_use]
pub fn platforms_in<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A kind by its name. All kinds share the code that watches them, which would otherwise be there once for each.
fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// Everything that the operator has made.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&labels::ours())
}

/// Changes, removals included, of objects of a kind, of which only the metadata is read: those that are news.
fn changes(
    client: &Client,
    namespace: Option<&str>,
    kind: &ApiResource,
    config: watcher::Config,
    mut news: News,
) -> impl Stream<Item = Result<PartialObjectMeta, watcher::Error>> + Send + 'static {
    let api: Api<PartialObjectMeta> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    };
    let events = watcher(api, config).default_backoff();
    events.filter_map(move |event| std::future::ready(event.map(|event| news.of(event)).transpose()))
}

/// The platform that an object was made for, by its labels.
fn platform_of(object: &PartialObjectMeta) -> Option<ObjectRef<Document>> {
    let labels = object.metadata.labels.as_ref()?;
    labels.get(labels::MANAGED_BY).filter(|by| *by == crate::FIELD_MANAGER)?;
    let platform = labels.get(labels::INSTANCE)?;
    Some(ObjectRef::new(platform).within(object.metadata.namespace.as_deref()?))
}

/// The platforms whose documents name a Secret.
fn naming(documents: &Store<Document>, secret: &PartialObjectMeta) -> Vec<ObjectRef<Document>> {
    let (name, namespace) = (secret.metadata.name.as_deref(), secret.metadata.namespace.as_deref());
    let names = |document: &Document| {
        let Document::Readable(document) = document else { return false };
        let is_issued = document.issued_secret().as_deref() == name;
        name.is_some_and(|name| is_issued || document.spec.named_secrets().any(|named| named == name))
    };
    documents
        .state()
        .iter()
        .filter(|document| document.namespace().as_deref() == namespace && names(document))
        .map(|document| ObjectRef::from_obj(document.as_ref()))
        .collect()
}
