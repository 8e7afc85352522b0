//! Amounts as Kubernetes writes them: `500m`, `2`, `256Mi`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An amount as it was written; [`Quantity::milli`] reads it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Quantity(String);

impl Quantity {
    /// An amount from its notation, which is not checked.
    #[must_use]
    pub fn new(notation: &str) -> Self {
        Self(notation.to_owned())
    }

    /// The notation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The amount in thousandths, or none if it is no quantity.
    #[must_use]
    pub fn milli(&self) -> Option<i128> {
        milli(&self.0)
    }

    /// The amount in whole mebibytes, rounded down, or none if it is no positive quantity.
    #[must_use]
    pub fn mebibytes(&self) -> Option<u64> {
        let bytes = self.milli()? / 1000;
        u64::try_from(bytes / (1 << 20)).ok()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A quantity in thousandths: digits with an optional fraction, then a suffix of
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>, exponents excepted.
#[must_use]
pub fn milli(notation: &str) -> Option<i128> {
    let end = notation.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(notation.len());
    let (number, suffix) = notation.split_at(end);
    let factor: i128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        "Pi" => 1000 << 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 || whole.len() > 15 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    // Kubernetes rounds up what is finer than a thousandth.
    Some((digits * factor + scale - 1) / scale)
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Notation {
            Text(String),
            Whole(i64),
            Number(f64),
        }
        Ok(Self(match Notation::deserialize(deserializer)? {
            Notation::Text(text) => text,
            Notation::Whole(number) => number.to_string(),
            Notation::Number(number) => number.to_string(),
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_read_as_kubernetes_reads_them() {
        assert_eq!(milli("500m"), Some(500));
        assert_eq!(milli("2"), milli("2000m"));
        assert_eq!(milli("0.5"), Some(500));
        assert_eq!(milli("1Gi"), milli("1024Mi"));
        assert_eq!(milli("1G"), Some(1_000_000_000_000));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for notation in ["", "Gi", "1 Gi", "-1", "1e3", "1gi", ".", "9999999999999999"] {
            assert_eq!(milli(notation), None, "{notation:?}");
        }
    }

    #[test]
    fn memory_is_counted_in_mebibytes() {
        assert_eq!(Quantity::new("512Mi").mebibytes(), Some(512));
        assert_eq!(Quantity::new("1.5Gi").mebibytes(), Some(1536));
    }
}
