//! What a file is, judged by its first bytes: neither its name nor what the client declared is believed
//! (OWASP File Upload Cheat Sheet; signatures after the WHATWG MIME Sniffing standard and the formats' own specifications).

mod signatures;

use std::{collections::BTreeSet, fmt};

use serde::Deserialize;

use crate::filename::Disposition;

/// How many of the first bytes [`ContentType::sniff`] looks at, at most.
pub const SNIFFED_BYTES: usize = 4096;

/// A media type (RFC 6838), lower case, without parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ContentType(String);

/// Not of the form `type/subtype`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a media type such as `image/png`")]
pub struct NotAMediaType(String);

impl ContentType {
    /// The type of a file that begins with `head`. Text has to be UTF-8; what no signature and no text fits is
    /// `application/octet-stream`.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Self {
        let head = &head[..head.len().min(SNIFFED_BYTES)];
        Self(signatures::of(head).or_else(|| text(head)).unwrap_or(UNRECOGNISED).to_owned())
    }

    /// Whether the bytes told nothing.
    #[must_use]
    pub fn is_unrecognised(&self) -> bool {
        self.0 == UNRECOGNISED
    }

    /// Pictures, sound and video are shown in place; all that could hold a script or a form is saved.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        let shown = ["image/", "audio/", "video/"].iter().any(|kind| self.0.starts_with(kind));
        if shown && self.0 != SVG { Disposition::Inline } else { Disposition::Attachment }
    }

    /// The value of the `Content-Type` header: text says its charset, which sniffing has established.
    #[must_use]
    pub fn header(&self) -> String {
        if self.0.starts_with("text/") { format!("{}; charset=utf-8", self.0) } else { self.0.clone() }
    }

    /// The bare type, `image/png`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ContentType {
    type Error = NotAMediaType;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte))
        };
        match text.split_once('/') {
            Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(Self(text)),
            _ => Err(NotAMediaType(text)),
        }
    }
}

/// Which files are taken.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The recognised types that are taken; every other recognised type is refused.
    pub allowed: BTreeSet<ContentType>,
    /// What happens to files of no recognised type.
    pub unrecognised: Unrecognised,
}

/// What happens to files whose first bytes tell nothing (`application/octet-stream`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unrecognised {
    /// They are stored, and always served as an attachment that no browser interprets.
    Accept,
    /// They are refused like a type outside the list.
    Refuse,
}

impl Policy {
    /// Whether a file of this type is taken.
    #[must_use]
    pub fn takes(&self, content_type: &ContentType) -> bool {
        if content_type.is_unrecognised() {
            self.unrecognised == Unrecognised::Accept
        } else {
            self.allowed.contains(content_type)
        }
    }
}

const UNRECOGNISED: &str = "application/octet-stream";
const SVG: &str = "image/svg+xml";

/// Text, and the kinds of it that a browser would run.
fn text(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut by the end of what is looked at; anything else is not UTF-8.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.is_empty() || text.chars().any(is_binary) {
        return None;
    }
    Some(if text.starts_with("#!") { "text/x-shellscript" } else { markup(text).unwrap_or("text/plain") })
}

/// The control characters that text does not hold (WHATWG MIME Sniffing, "binary data byte").
fn is_binary(char: char) -> bool {
    char.is_ascii_control() && !matches!(char, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}')
}

/// Tags by which browsers take a document for HTML (WHATWG MIME Sniffing, section 7.1).
const HTML_TAGS: [&str; 17] = [
    "!doctype html",
    "html",
    "head",
    "script",
    "iframe",
    "h1",
    "div",
    "font",
    "table",
    "a",
    "style",
    "title",
    "b",
    "body",
    "br",
    "p",
    "!--",
];

fn markup(text: &str) -> Option<&'static str> {
    let document = text.trim_start().strip_prefix('<')?.to_ascii_lowercase();
    let begins_with = |tag: &str| {
        document.strip_prefix(tag).is_some_and(|after| {
            tag == "!--" || after.is_empty() || after.starts_with([' ', '\t', '\n', '\r', '\u{c}', '>', '/'])
        })
    };
    if document.contains("<svg") || begins_with("svg") {
        Some(SVG)
    } else if document.contains("<html")
        || document.contains("<!doctype html")
        || HTML_TAGS.iter().any(|tag| begins_with(tag))
    {
        Some("text/html")
    } else if document.starts_with("?xml") {
        Some("text/xml")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
