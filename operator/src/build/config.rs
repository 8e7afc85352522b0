//! `ConfigMap`s.

use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;

use super::component::Component;
use super::labels;
use crate::validate::Platform;

/// The `ConfigMap` `<platform>-<name>` of a component, with files by name.
#[must_use]
pub fn config_map<const N: usize>(
    platform: &Platform,
    component: Component,
    name: &str,
    files: [(&str, String); N],
) -> ConfigMap {
    ConfigMap {
        metadata: labels::metadata_named(platform, component, name),
        data: Some(files.into_iter().map(|(file, text)| (file.to_owned(), text)).collect::<BTreeMap<_, _>>()),
        ..ConfigMap::default()
    }
}
