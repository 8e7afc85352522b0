//! How objects are named, labelled and owned.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;

use super::component::Component;
use crate::validate::Platform;

/// The component, `app.kubernetes.io/name`.
pub const NAME: &str = "app.kubernetes.io/name";
/// The platform, `app.kubernetes.io/instance`.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// What a pod that is of no component is there for, `app.kubernetes.io/component`: the service whose database it migrates, or what it does about
/// backups.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The release, `app.kubernetes.io/version`.
pub const VERSION: &str = "app.kubernetes.io/version";
/// The value of [`NAME`] of what migrates a database.
pub const MIGRATION: &str = "migration";
/// The value of [`NAME`] of what makes backups, or restores one.
pub const BACKUP: &str = "backup";
/// Annotation of a Deployment: the release that it was built for. The image does not tell, since that of the edge is somebody else's.
pub const RELEASE: &str = "chatplatform.dev/release";
/// The product, `app.kubernetes.io/part-of`.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Who writes it, `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What the operator alone says of pods, by label.
pub const OWN: [&str; 4] = [NAME, INSTANCE, PART_OF, MANAGED_BY];
/// The domain of the operator's own labels and annotations.
pub const DOMAIN: &str = "chatplatform.dev/";
/// The value of [`PART_OF`].
pub const PRODUCT: &str = "chatplatform";

/// The label selector of everything the operator has made for any platform.
#[must_use]
pub fn ours() -> String {
    format!("{MANAGED_BY}={}", crate::FIELD_MANAGER)
}

/// The label selector of everything the operator has made for one platform.
#[must_use]
pub fn ours_of(platform: &str) -> String {
    format!("{},{INSTANCE}={platform}", ours())
}

/// Labels of an object of a component.
#[must_use]
pub fn labels(platform: &Platform, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector_labels(platform, component);
    labels.insert(PART_OF.into(), PRODUCT.into());
    labels.insert(MANAGED_BY.into(), crate::FIELD_MANAGER.into());
    labels
}

/// The selector of a component's pods.
#[must_use]
pub fn selector(platform: &Platform, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(platform, component)), ..LabelSelector::default() }
}

/// The labels that select a component's pods; they never change, for a selector cannot.
#[must_use]
pub fn selector_labels(platform: &Platform, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([(NAME.into(), component.name().into()), (INSTANCE.into(), platform.names.platform.clone())])
}

/// The selector of a component's pods that nobody else's come under. Other products label theirs by name and instance as well, and an
/// instance may be called like a platform.
#[must_use]
pub fn own_pods(platform: &Platform, component: Component) -> LabelSelector {
    let mut labels = selector_labels(platform, component);
    labels.insert(MANAGED_BY.into(), crate::FIELD_MANAGER.into());
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// A selector in the notation of `kubectl --selector`.
#[must_use]
pub fn text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(label, value)| format!("{label}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// Labels of what brings the database of a service to the form of a release. They are none of the service's own pods, for these are who
/// requests are sent to.
#[must_use]
pub fn migration(platform: &Platform, service: Component) -> BTreeMap<String, String> {
    let mut labels = labels(platform, service);
    labels.insert(NAME.into(), MIGRATION.into());
    labels.insert(COMPONENT.into(), service.name().into());
    labels.insert(VERSION.into(), platform.version.clone());
    labels
}

/// The selector of all pods that migrate a database of a platform.
#[must_use]
pub fn migrating_pods(platform: &Platform) -> LabelSelector {
    let mut selector = all_pods(platform);
    selector.match_labels.get_or_insert_default().insert(NAME.into(), MIGRATION.into());
    selector
}

/// Labels of what makes backups or restores one. They are none of the replica set's own pods.
#[must_use]
pub fn backup(platform: &Platform, errand: &str) -> BTreeMap<String, String> {
    let mut labels = all_pods(platform).match_labels.unwrap_or_default();
    labels.insert(PART_OF.into(), PRODUCT.into());
    labels.insert(NAME.into(), BACKUP.into());
    labels.insert(COMPONENT.into(), errand.into());
    labels
}

/// The selector of all pods that make a backup of a platform or restore one.
#[must_use]
pub fn backing_up_pods(platform: &Platform) -> LabelSelector {
    let mut selector = all_pods(platform);
    selector.match_labels.get_or_insert_default().insert(NAME.into(), BACKUP.into());
    selector
}

/// Whether something makes backups or restores one, by its labels.
#[must_use]
pub fn is_of_backup(labels: &BTreeMap<String, String>) -> bool {
    labels.get(NAME).is_some_and(|name| name == BACKUP)
}

/// The selector of all pods of a platform.
#[must_use]
pub fn all_pods(platform: &Platform) -> LabelSelector {
    let labels = [(INSTANCE.into(), platform.names.platform.clone()), (MANAGED_BY.into(), crate::FIELD_MANAGER.into())];
    LabelSelector { match_labels: Some(labels.into()), ..LabelSelector::default() }
}

/// Metadata of the object `<platform>-<name>` that concerns all components.
#[must_use]
pub fn metadata_of_all(platform: &Platform, name: &str) -> ObjectMeta {
    let labels = [
        (INSTANCE.into(), platform.names.platform.clone()),
        (PART_OF.into(), PRODUCT.into()),
        (MANAGED_BY.into(), crate::FIELD_MANAGER.into()),
    ];
    metadata_with(platform, name, labels.into())
}

/// Metadata of the object `<platform>-<component>`.
#[must_use]
pub fn metadata(platform: &Platform, component: Component) -> ObjectMeta {
    metadata_named(platform, component, component.name())
}

/// Metadata of the object `<platform>-<name>` that belongs to a component.
#[must_use]
pub fn metadata_named(platform: &Platform, component: Component, name: &str) -> ObjectMeta {
    metadata_with(platform, name, labels(platform, component))
}

/// Metadata of the object `<platform>-<name>` with labels of one's own.
pub(super) fn metadata_with(platform: &Platform, name: &str, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(platform.names.object(name)),
        namespace: Some(platform.names.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![platform.owner.clone()]),
        ..ObjectMeta::default()
    }
}
