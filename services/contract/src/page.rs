//! Lists by opaque cursor: `?cursor=&limit=` in, `{items, nextCursor?}` out.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The entries, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of `limit` entries from a query that asked for one more than that: if the extra entry came,
    /// there is a next page, and it starts after the last entry kept. `position` is what the cursor holds.
    pub fn from_one_more<P: Serialize>(mut found: Vec<T>, limit: usize, position: impl FnOnce(&T) -> P) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = if more { found.last().map(|last| Cursor::encode(&position(last))) } else { None };
        Self { items: found, next_cursor }
    }
}

/// A place in a list. Clients hand it back and know nothing of its inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cursor(String);

/// The cursor was not made by this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

impl Cursor {
    /// Wraps a position (anything that serialises as JSON) into base64url.
    #[must_use]
    pub fn encode(position: &impl Serialize) -> Self {
        // Positions are tuples of ids, numbers and times: none of them can fail to serialise. Should one, the cursor reads
        // as `null` and is refused when it comes back.
        let json = serde_json::to_vec(position).unwrap_or_else(|_| b"null".to_vec());
        Self(URL_SAFE_NO_PAD.encode(json))
    }

    /// The position inside.
    pub fn decode<P: DeserializeOwned>(&self) -> Result<P, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| InvalidCursor)?;
        serde_json::from_slice(&json).map_err(|_| InvalidCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The query of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// How many entries at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

impl PageQuery {
    /// The number of entries to answer: what was asked for, at least 1 and at most `max`, `default` if nothing was.
    #[must_use]
    pub fn limit(&self, default: u32, max: u32) -> usize {
        self.limit.unwrap_or(default).clamp(1, max) as usize
    }

    /// The position to go on from, if one was given.
    pub fn position<P: DeserializeOwned>(&self) -> Result<Option<P>, InvalidCursor> {
        self.cursor.as_ref().map(Cursor::decode).transpose()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_brings_its_position_back(seq: u64, name in "\\PC{0,20}") {
            let cursor = Cursor::encode(&(seq, &name));
            prop_assert_eq!(cursor.decode::<(u64, String)>(), Ok((seq, name)));
            prop_assert!(cursor.to_string().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }

        #[test]
        fn a_foreign_cursor_is_refused_without_panic(text in "\\PC{0,40}") {
            prop_assert_eq!(Cursor(text).decode::<(u64, String)>(), Err(InvalidCursor));
        }
    }

    #[test]
    fn a_page_has_a_next_one_only_if_there_is_more() {
        let page = Page::from_one_more(vec![3, 2, 1], 2, |n| *n);
        assert_eq!(page.items, [3, 2]);
        assert_eq!(page.next_cursor.unwrap().decode::<i32>(), Ok(2));
        assert_eq!(Page::from_one_more(vec![2, 1], 2, |n| *n).next_cursor, None);
    }

    #[test]
    fn a_limit_is_kept_within_bounds() {
        let of = |limit| PageQuery { cursor: None, limit }.limit(50, 100);
        assert_eq!([of(None), of(Some(0)), of(Some(7)), of(Some(1000))], [50, 1, 7, 100]);
    }
}
