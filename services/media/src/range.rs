//! Byte ranges of a download (RFC 9110, section 14).

/// The bytes of a representation that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: there was no `Range`, or one that a server may ignore
    /// (RFC 9110, section 14.2: another unit, bad syntax, several separate ranges).
    Whole,
    /// One part of it: 206 with `Content-Range`.
    Part(Part),
    /// Nothing of it exists: 416 with `Content-Range: bytes */size`.
    Unsatisfiable,
}

/// A part of a representation, in bytes from 0; `first <= last < size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, itself included.
    pub last: u64,
}

impl Part {
    /// How many bytes the part has; at least one.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// `bytes 0-99/1234`, the value of `Content-Range`.
    #[must_use]
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }

    /// `bytes=0-99`, the value of `Range` towards the object store.
    #[must_use]
    pub fn range(self) -> String {
        format!("bytes={}-{}", self.first, self.last)
    }

    fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    fn joined(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// More ranges than this in one header are an attack on the server, not a reader (RFC 9110, section 17.15).
const MOST_RANGES: usize = 16;

/// Reads a `Range` header for a representation of `size` bytes.
///
/// Ranges that touch or overlap become one part. Several separate ones are answered with the whole: a client must be ready
/// for that, and `multipart/byteranges` is what no chat client asks for.
#[must_use]
pub fn select(header: Option<&str>, size: u64) -> Selection {
    let Some(specs) = header.and_then(byte_ranges) else {
        return Selection::Whole;
    };
    let mut satisfiable = specs.iter().filter_map(|spec| spec.resolve(size));
    let Some(first) = satisfiable.next() else {
        return Selection::Unsatisfiable;
    };
    satisfiable
        .try_fold(first, |whole, part| whole.touches(part).then(|| whole.joined(part)))
        .map_or(Selection::Whole, Selection::Part)
}

#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

impl Spec {
    fn resolve(self, size: u64) -> Option<Part> {
        let end = size.checked_sub(1)?;
        match self {
            Self::From { first, last } => (first <= end).then(|| Part { first, last: last.unwrap_or(end).min(end) }),
            Self::Suffix(0) => None,
            Self::Suffix(length) => Some(Part { first: size.saturating_sub(length), last: end }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", length) => offset(length).map(Self::Suffix),
            (first, "") => offset(first).map(|first| Self::From { first, last: None }),
            (first, last) => {
                let (first, last) = (offset(first)?, offset(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }
}

/// `None` where the header is not a valid set of byte ranges.
fn byte_ranges(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let parts = || set.split(',').map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty());
    if parts().nth(MOST_RANGES).is_some() {
        return None;
    }
    let specs = parts().map(Spec::parse).collect::<Option<Vec<_>>>()?;
    (!specs.is_empty()).then_some(specs)
}

/// Digits only (`u64::from_str` would take a sign); an offset beyond what `u64` holds means the farthest there is.
fn offset(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(first: u64, last: u64) -> Selection {
        Selection::Part(Part { first, last })
    }

    #[test]
    fn the_examples_of_rfc_9110_select_what_it_says() {
        assert_eq!(select(Some("bytes=0-499"), 10_000), part(0, 499));
        assert_eq!(select(Some("bytes=500-999"), 10_000), part(500, 999));
        assert_eq!(select(Some("bytes=-500"), 10_000), part(9_500, 9_999));
        assert_eq!(select(Some("bytes=9500-"), 10_000), part(9_500, 9_999));
        assert_eq!(select(Some("bytes= 0-999, 4500-5499, -1000"), 10_000), Selection::Whole);
        assert_eq!(select(Some("bytes=500-700,601-999"), 10_000), part(500, 999));
        assert_eq!(select(Some("bytes=500-600,601-999"), 10_000), part(500, 999));
    }

    #[test]
    fn a_range_that_ends_beyond_the_end_is_cut() {
        assert_eq!(select(Some("bytes=5-500"), 10), part(5, 9));
        assert_eq!(select(Some("bytes=-500"), 10), part(0, 9));
        assert_eq!(select(Some("bytes=0-99999999999999999999999999"), 10), part(0, 9));
    }

    #[test]
    fn a_range_that_begins_beyond_the_end_is_unsatisfiable() {
        assert_eq!(select(Some("bytes=10-"), 10), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=99999999999999999999999999-"), 10), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=-0"), 10), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=0-"), 0), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=-5"), 0), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=20-30,3-4"), 10), part(3, 4), "one that exists is enough");
    }

    #[test]
    fn what_is_not_a_byte_range_is_ignored() {
        let headers = [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=5",
            "bytes=a-b",
            "bytes=7-3",
            "bytes=+1-2",
            "bytes=1-+2",
            "items=0-4",
            "bytes=0-1,x",
            "bytes=--5",
            "bytes=1-2-3",
        ];
        for header in headers {
            assert_eq!(select(Some(header), 10), Selection::Whole, "{header:?}");
        }
        assert_eq!(select(None, 10), Selection::Whole);
    }

    #[test]
    fn a_flood_of_ranges_is_ignored() {
        let header = format!("bytes={}", vec!["0-0"; MOST_RANGES + 1].join(","));
        assert_eq!(select(Some(&header), 10), Selection::Whole);
    }

    #[test]
    fn the_unit_is_matched_without_case() {
        assert_eq!(select(Some("Bytes=1-2"), 10), part(1, 2));
    }

    proptest! {
        #[test]
        fn a_part_always_lies_within_the_representation(header in "bytes=[0-9, -]{0,24}", size in 0u64..2_000) {
            if let Selection::Part(part) = select(Some(&header), size) {
                prop_assert!(part.first <= part.last && part.last < size);
                prop_assert!(part.length() <= size);
            }
        }

        #[test]
        fn no_header_makes_it_panic(header in ".*", size: u64) {
            let _ = select(Some(&header), size);
        }
    }
}
