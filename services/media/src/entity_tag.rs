//! Entity tags of stored files and the conditions clients set with them (RFC 9110, sections 8.8.3 and 13.1).

use std::fmt;

/// The strong entity tag of a file: its SHA-256 in quotes. A stored file never changes, so neither does its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// The tag of the content with this SHA-256, written in hexadecimal.
    #[must_use]
    pub fn of_sha256(sha256: &str) -> Self {
        Self(format!("\"{sha256}\""))
    }

    /// Whether `If-None-Match` names this tag (weak comparison, or `*`): then the client has the content already.
    #[must_use]
    pub fn is_in(&self, if_none_match: &str) -> bool {
        if_none_match.trim() == "*" || opaque_tags(if_none_match).any(|(_, opaque)| opaque == self.0)
    }

    /// Whether `If-Range` names this tag (strong comparison). A date never does: no date is sent with a file.
    #[must_use]
    pub fn is_exactly(&self, if_range: &str) -> bool {
        if_range.trim() == self.0
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The tags of a list, each as (is weak, opaque tag with its quotes). An opaque tag may hold commas; reading stops at bad syntax.
fn opaque_tags(list: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |strong| (true, strong));
        let length = quoted.strip_prefix('"')?.find('"')? + 2;
        let (opaque, after) = quoted.split_at(length);
        rest = after;
        Some((weak, opaque))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_finds_the_tag_in_a_list_weak_or_strong() {
        let tag = EntityTag::of_sha256("abc");
        for header in ["\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\"", "\"a,b\",W/\"abc\"", " * "] {
            assert!(tag.is_in(header), "{header}");
        }
        for header in ["", "abc", "\"abcd\"", "\"ab\"", "\"x\"", "\"abc", "\"x\", abc", "w/\"abc\""] {
            assert!(!tag.is_in(header), "{header}");
        }
    }

    #[test]
    fn if_range_takes_the_strong_tag_alone() {
        let tag = EntityTag::of_sha256("abc");
        assert!(tag.is_exactly("\"abc\""));
        assert!(!tag.is_exactly("W/\"abc\""));
        assert!(!tag.is_exactly("Sun, 06 Nov 1994 08:49:37 GMT"));
    }
}
