//! File names as people give them, and as a header can carry them.

use std::fmt::Write as _;

/// The longest file name that is kept, in bytes of UTF-8: what ext4, APFS and NTFS can all store.
pub const LONGEST: usize = 255;

/// What a file without a usable name is called.
pub const NAMELESS: &str = "file";

/// The name a file is listed and saved under, made from whatever the uploading client sent.
///
/// Only the last path segment counts; control characters, bidirectional overrides (which make `cod.exe` read as `exe.doc`) and
/// characters Windows cannot store go; leading and trailing dots and spaces go; a long name is cut, its extension kept.
#[must_use]
pub fn clean(given: Option<&str>) -> String {
    let last = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&char| is_printable(char)).collect();
    let name = shorten(kept.trim_matches([' ', '.']));
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// How a browser should treat the downloaded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Shown in place: pictures, sound, video.
    Inline,
    /// Saved: everything else.
    Attachment,
}

/// The value of `Content-Disposition` (RFC 6266): an ASCII `filename` for old clients, and `filename*` in RFC 8187 encoding where
/// the name needs it.
#[must_use]
pub fn content_disposition(disposition: Disposition, name: &str) -> String {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let plain = ascii_fallback(name);
    if plain == name {
        format!("{kind}; filename=\"{plain}\"")
    } else {
        format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", percent_encoded(name))
    }
}

fn is_printable(char: char) -> bool {
    let overrides_direction =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let invisible = matches!(char, '\u{feff}' | '\u{2028}' | '\u{2029}');
    let reserved = matches!(char, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    !(char.is_control() || overrides_direction || invisible || reserved)
}

fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 16 => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let end = stem.floor_char_boundary(LONGEST - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches([' ', '.']))
}

/// Percent signs go as well: some browsers decode them in the quoted form.
fn ascii_fallback(name: &str) -> String {
    name.chars()
        .map(|char| match char {
            '"' | '\\' | '%' => '_',
            ' '..='~' => char,
            _ => '_',
        })
        .collect()
}

/// Everything but `attr-char` of RFC 8187 as `%XX`.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ordinary_name_stays_as_it_is() {
        for name in ["report.pdf", "holiday 2026 (1).jpg", "Żółw.png", "写真.heic", "archive.tar.gz"] {
            assert_eq!(clean(Some(name)), name);
        }
    }

    #[test]
    fn paths_and_tricks_are_taken_out_of_a_name() {
        assert_eq!(clean(Some("../../etc/passwd")), "passwd");
        assert_eq!(clean(Some("C:\\Users\\me\\cv.doc")), "cv.doc");
        assert_eq!(clean(Some("a\r\nSet-Cookie: x=1.txt")), "aSet-Cookie x=1.txt");
        assert_eq!(clean(Some("invoice\u{202e}fdp.exe")), "invoicefdp.exe");
        assert_eq!(clean(Some(".bashrc")), "bashrc");
        assert_eq!(clean(Some("evil.exe. . ")), "evil.exe");
    }

    #[test]
    fn a_file_without_a_usable_name_still_has_one() {
        for given in [None, Some(""), Some("///"), Some(".."), Some("\u{0}\u{1}"), Some(" . ")] {
            assert_eq!(clean(given), NAMELESS, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        let name = clean(Some(&format!("{}.jpeg", "ł".repeat(300))));
        assert!(name.len() <= LONGEST, "{}", name.len());
        assert!(name.starts_with("łł") && name.ends_with("ł.jpeg"), "{name}");
    }

    #[test]
    fn the_header_carries_ascii_plainly_and_the_rest_twice() {
        assert_eq!(content_disposition(Disposition::Attachment, "a b.pdf"), "attachment; filename=\"a b.pdf\"");
        assert_eq!(
            content_disposition(Disposition::Inline, "€ rates.png"),
            "inline; filename=\"_ rates.png\"; filename*=UTF-8''%E2%82%AC%20rates.png"
        );
        assert_eq!(
            content_disposition(Disposition::Attachment, "100%.txt"),
            "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"
        );
    }

    proptest! {
        #[test]
        fn any_name_makes_a_header_that_nothing_can_break_out_of(given in "\\PC*|.*") {
            let name = clean(Some(&given));
            prop_assert!(!name.is_empty() && name.len() <= LONGEST);
            prop_assert!(!name.contains(['/', '\\', '\r', '\n', '"']));
            let header = content_disposition(Disposition::Attachment, &name);
            prop_assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{header}");
            let quotes = header.matches('"').count();
            prop_assert_eq!(quotes, 2, "{}", header);
        }

        #[test]
        fn cleaning_twice_changes_nothing_more(given in ".*") {
            let once = clean(Some(&given));
            prop_assert_eq!(clean(Some(&once)), once);
        }
    }
}
