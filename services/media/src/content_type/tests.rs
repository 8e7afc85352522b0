#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn sniffed(head: &[u8]) -> String {
    ContentType::sniff(head).to_string()
}

#[test]
fn formats_are_told_by_their_signatures() {
    let files: [(&[u8], &str); 14] = [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "image/avif"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        (b"OggS\0\x02\0\0\0\0\0\0\0\0", "audio/ogg"),
        (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\0\0", "audio/mpeg"),
        (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
        (b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\x02\x01\x01\0", "application/x-executable"),
    ];
    for (head, name) in files {
        assert_eq!(sniffed(head), name);
    }
}

#[test]
fn a_container_is_told_by_what_it_holds() {
    let entry = |name: &str, content: &str| {
        let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        assert_eq!(zip.len(), 30, "a local file header is 30 bytes long");
        zip.extend_from_slice(name.as_bytes());
        zip.extend_from_slice(content.as_bytes());
        zip
    };
    let odt = entry("mimetype", "application/vnd.oasis.opendocument.textPK");
    assert_eq!(sniffed(&odt), "application/vnd.oasis.opendocument.text");
    let docx = entry("[Content_Types].xml", "....word/document.xml");
    assert_eq!(sniffed(&docx), "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
    assert_eq!(sniffed(&entry("notes/word/x.txt", "hello")), "application/zip");
    assert_eq!(sniffed(&entry("META-INF/MANIFEST.MF", "x")), "application/java-archive");
}

#[test]
fn text_is_utf_8_without_control_characters() {
    assert_eq!(sniffed("zażółć gęślą jaźń\n".as_bytes()), "text/plain");
    assert_eq!(sniffed(b"\xef\xbb\xbfwith a byte order mark"), "text/plain");
    assert_eq!(sniffed(b"latin-1: \xe9t\xe9 "), "application/octet-stream");
    assert_eq!(sniffed(b"nul \0 byte"), "application/octet-stream");
    assert_eq!(sniffed(b""), "application/octet-stream");
}

#[test]
fn a_character_cut_at_the_end_of_the_head_is_still_text() {
    let text = format!("{}ł{}", "a".repeat(SNIFFED_BYTES - 1), "b".repeat(10));
    assert_eq!(sniffed(text.as_bytes()), "text/plain");
}

#[test]
fn markup_that_a_browser_would_run_is_not_plain_text() {
    for html in [
        "<!DOCTYPE html><html>",
        "  \n<HTML lang=en>",
        "<script>alert(1)</script>",
        "<!-- x --><b>",
        "<?xml version='1.0'?><!DOCTYPE html PUBLIC><html>",
    ] {
        assert_eq!(sniffed(html.as_bytes()), "text/html", "{html}");
    }
    for svg in ["<svg xmlns='http://www.w3.org/2000/svg'>", "<?xml version='1.0'?>\n<!-- x --><svg onload=x>"] {
        assert_eq!(sniffed(svg.as_bytes()), "image/svg+xml", "{svg}");
    }
    assert_eq!(sniffed(b"<?xml version='1.0'?><feed/>"), "text/xml");
    assert_eq!(sniffed(b"#!/bin/sh\nrm -rf /"), "text/x-shellscript");
    assert_eq!(sniffed(b"a < b and <b> in prose"), "text/plain");
    assert_eq!(sniffed(b"<abbr"), "text/plain");
}

#[test]
fn the_policy_tells_recognised_types_from_unrecognised_ones() {
    let policy = |unrecognised| Policy {
        allowed: BTreeSet::from([ContentType::try_from("image/png".to_owned()).unwrap()]),
        unrecognised,
    };
    let (png, html, unknown) =
        (ContentType::sniff(b"\x89PNG\r\n\x1a\n"), ContentType::sniff(b"<html>"), ContentType::sniff(b"\0\x05\x06"));
    for unrecognised in [Unrecognised::Accept, Unrecognised::Refuse] {
        assert!(policy(unrecognised).takes(&png));
        assert!(!policy(unrecognised).takes(&html));
    }
    assert!(policy(Unrecognised::Accept).takes(&unknown));
    assert!(!policy(Unrecognised::Refuse).takes(&unknown));
}

#[test]
fn only_what_cannot_run_is_shown_in_place() {
    let disposition = |name: &str| ContentType(name.to_owned()).disposition();
    assert_eq!(disposition("image/png"), Disposition::Inline);
    assert_eq!(disposition("video/mp4"), Disposition::Inline);
    for name in ["image/svg+xml", "text/html", "text/plain", "application/pdf", "application/octet-stream"] {
        assert_eq!(disposition(name), Disposition::Attachment, "{name}");
    }
}

#[test]
fn only_media_types_are_media_types() {
    for good in ["image/png", "image/svg+xml", "application/vnd.ms-excel"] {
        assert!(ContentType::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in ["", "png", "image/", "/png", "Image/PNG", "image/png; q=1", "a/b/c"] {
        assert!(ContentType::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(head in proptest::collection::vec(any::<u8>(), 0..300)) {
        let name = sniffed(&head);
        prop_assert!(ContentType::try_from(name).is_ok());
    }
}
