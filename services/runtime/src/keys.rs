//! Which keys a service goes by, told on the admin port: in `keys` of `/health`, and as gauges of `/metrics`. Ids alone, never a key.

use std::{collections::BTreeMap, fmt, sync::Arc};

use contract::keys::{KeyUse, KeysInUse};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

type Tell = Arc<dyn Fn() -> KeyUse + Send + Sync>;

/// The key rings of a service. Each is asked anew whenever somebody wants to know, so that what is told is what is used.
#[derive(Clone, Default)]
pub struct KeyRings(BTreeMap<&'static str, Tell>);

impl KeyRings {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more ring, or with what another part of the service says of a ring that is there.
    #[must_use]
    pub fn with(mut self, ring: &'static str, tell: impl Fn() -> KeyUse + Send + Sync + 'static) -> Self {
        let tell: Tell = match self.0.remove(ring) {
            Some(before) => Arc::new(move || together(before(), tell())),
            None => Arc::new(tell),
        };
        self.0.insert(ring, tell);
        self
    }

    /// What is used at the moment.
    #[must_use]
    pub fn in_use(&self) -> KeysInUse {
        self.0.iter().map(|(ring, tell)| ((*ring).to_owned(), tell())).collect()
    }
}

/// What two parts of a service say of one ring.
fn together(one: KeyUse, other: KeyUse) -> KeyUse {
    let mut accepted = one.accepted;
    accepted.extend(other.accepted);
    KeyUse { current: other.current.or(one.current), accepted, stored: other.stored.or(one.stored) }
}

impl fmt::Debug for KeyRings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Collector for KeyRings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let in_use = self.in_use();
        let help = "1 for each key that this process goes by: the one that is current, and those that it accepts";
        let mut generations = encoder.encode_descriptor("key_generation", help, None, MetricType::Gauge)?;
        for (ring, keys) in &in_use {
            let current = keys.current.iter().map(|kid| ("current", kid));
            for (role, kid) in current.chain(keys.accepted.iter().map(|kid| ("accepted", kid))) {
                let labels = [("ring", ring.as_str()), ("role", role), ("kid", kid.as_str())];
                ConstGauge::new(1_i64).encode(generations.encode_family(&labels)?)?;
            }
        }
        let help = "What is stored under another key than the current one, as it was last counted";
        let mut stored = encoder.encode_descriptor("key_generation_stored", help, None, MetricType::Gauge)?;
        for (ring, keys) in &in_use {
            for (kid, count) in keys.stored.iter().flat_map(|stored| &stored.counts) {
                let labels = [("ring", ring.as_str()), ("kid", kid.as_str())];
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                ConstGauge::new(count).encode(stored.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use contract::keys::StoredUnder;

    use super::*;
    use crate::metrics::Metrics;

    fn accepting(kids: &[&str]) -> KeyUse {
        KeyUse { accepted: kids.iter().map(|kid| (*kid).to_owned()).collect(), ..KeyUse::default() }
    }

    #[test]
    fn what_several_parts_say_of_a_ring_is_told_together() {
        let rings = KeyRings::new()
            .with("signing", || accepting(&["old", "new"]))
            .with("signing", || KeyUse { current: Some("new".into()), ..KeyUse::default() })
            .with("message", || accepting(&["mk-1"]));
        let told = rings.in_use();
        assert_eq!(told["signing"], KeyUse { current: Some("new".into()), ..accepting(&["old", "new"]) });
        assert_eq!(told["message"], accepting(&["mk-1"]));
    }

    #[test]
    fn the_keys_are_gauges_with_ids_for_labels() {
        let counts = [("mk-1".to_owned(), 3)].into();
        let message = KeyUse {
            current: Some("mk-2".into()),
            stored: Some(StoredUnder { counts, seconds_ago: 1 }),
            ..accepting(&["mk-1"])
        };
        let metrics = Metrics::new();
        metrics.collect(KeyRings::new().with("message", move || message.clone()));
        let text = metrics.encode();
        for line in [
            r#"key_generation{ring="message",role="current",kid="mk-2"} 1"#,
            r#"key_generation{ring="message",role="accepted",kid="mk-1"} 1"#,
            r#"key_generation_stored{ring="message",kid="mk-1"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
