//! Which changes of an object are worth a run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

/// What has been heard of the objects of a kind.
pub(super) struct News {
    /// What was wanted of each when it was last heard of, by its identity, where only that counts.
    wishes: Option<HashMap<String, u64>>,
}

impl News {
    /// Every change is news.
    pub(super) fn all() -> Self {
        Self { wishes: None }
    }

    /// A change of what is wanted of an object is news, and so is its end; what is reported of it is none. The generation would tell the
    /// same, but not every kind has one, and of an object that is deleted it stays as it was.
    pub(super) fn of_wishes() -> Self {
        Self { wishes: Some(HashMap::new()) }
    }

    /// The object of an event, if it is news.
    pub(super) fn of(&mut self, event: Event<PartialObjectMeta>) -> Option<PartialObjectMeta> {
        match event {
            Event::Apply(object) | Event::InitApply(object) => self.is_new(&object.metadata).then_some(object),
            Event::Delete(object) => {
                if let Some(wishes) = &mut self.wishes {
                    wishes.remove(&key(&object.metadata));
                }
                Some(object)
            }
            Event::Init => {
                // What was deleted while nobody listened is not told of.
                if let Some(wishes) = &mut self.wishes {
                    wishes.clear();
                }
                None
            }
            Event::InitDone => None,
        }
    }

    fn is_new(&mut self, metadata: &ObjectMeta) -> bool {
        let Some(wishes) = &mut self.wishes else { return true };
        let wish = wish(metadata);
        wishes.insert(key(metadata), wish) != Some(wish)
    }
}

fn key(metadata: &ObjectMeta) -> String {
    metadata.uid.clone().unwrap_or_default()
}

/// What is wanted, by what the metadata tells: who has said something of which field, and when, but for the status.
fn wish(metadata: &ObjectMeta) -> u64 {
    let mut hash = DefaultHasher::new();
    (metadata.generation, &metadata.labels, &metadata.annotations).hash(&mut hash);
    metadata.deletion_timestamp.is_some().hash(&mut hash);
    let said = metadata.managed_fields.iter().flatten();
    for entry in said.filter(|entry| entry.subresource.as_deref() != Some("status")) {
        (&entry.manager, &entry.operation, &entry.subresource).hash(&mut hash);
        entry.time.as_ref().map(|time| time.0).hash(&mut hash);
        entry.fields_v1.as_ref().map(|fields| fields.0.to_string()).hash(&mut hash);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn object(managed_fields: &Value) -> PartialObjectMeta {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": {"name": "acme-web", "namespace": "team", "uid": "u-1", "managedFields": managed_fields},
        }))
        .unwrap()
    }

    fn entry(subresource: &str, time: &str) -> Value {
        json!({"manager": "m", "operation": "Update", "subresource": subresource, "time": time, "fieldsV1": {"f:spec": {}}})
    }

    const EARLIER: &str = "2026-01-01T00:00:00Z";
    const LATER: &str = "2026-01-01T00:00:15Z";

    #[test]
    fn what_is_reported_of_an_object_is_no_news_and_what_is_wanted_is() {
        let mut news = News::of_wishes();
        let mut heard = |spec: &str, status: &str| {
            news.of(Event::Apply(object(&json!([entry("", spec), entry("status", status)])))).is_some()
        };
        assert!(heard(EARLIER, EARLIER));
        assert!(!heard(EARLIER, LATER));
        assert!(heard(LATER, LATER));
        assert!(!heard(LATER, LATER));
    }

    #[test]
    fn the_end_of_an_object_is_news_though_nothing_of_it_has_changed() {
        let mut news = News::of_wishes();
        let same = || object(&json!([entry("", EARLIER)]));
        assert!(news.of(Event::Apply(same())).is_some());
        assert!(news.of(Event::Delete(same())).is_some());
        assert!(news.of(Event::Apply(same())).is_some(), "it is there again");
    }

    #[test]
    fn after_a_gap_in_the_watch_everything_is_news() {
        let mut news = News::of_wishes();
        assert!(news.of(Event::Apply(object(&json!([])))).is_some());
        assert!(news.of(Event::Init).is_none());
        assert!(news.of(Event::InitApply(object(&json!([])))).is_some());
        assert!(news.of(Event::InitDone).is_none());
    }

    #[test]
    fn of_other_kinds_every_change_is_news() {
        let mut news = News::all();
        for _ in 0..2 {
            assert!(news.of(Event::Apply(object(&json!([])))).is_some());
        }
    }
}
