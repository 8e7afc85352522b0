//! The first bytes of the formats people send each other, and of those nobody should.

/// The type whose signature `head` bears.
pub(super) fn of(head: &[u8]) -> Option<&'static str> {
    FIXED
        .iter()
        .find(|(offset, magic, _)| has(head, *offset, magic))
        .map(|(_, _, name)| *name)
        .or_else(|| riff(head))
        .or_else(|| iso_base_media(head))
        .or_else(|| ebml(head))
        .or_else(|| zip(head))
        .or_else(|| ogg(head))
        .or_else(|| mpeg_audio(head))
}

/// (offset, bytes, type), the more telling first.
const FIXED: [(usize, &[u8], &str); 33] = [
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\0\0\x01\0", "image/x-icon"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"fLaC", "audio/flac"),
    (0, b"MThd", "audio/midi"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\0asm", "application/wasm"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"dex\n", "application/vnd.android.dex"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
];

fn has(head: &[u8], offset: usize, magic: &[u8]) -> bool {
    head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

fn holds(head: &[u8], needle: &[u8]) -> bool {
    head.windows(needle.len()).any(|window| window == needle)
}

fn riff(head: &[u8]) -> Option<&'static str> {
    if !head.starts_with(b"RIFF") {
        return None;
    }
    match head.get(8..12)? {
        b"WEBP" => Some("image/webp"),
        b"WAVE" => Some("audio/wav"),
        b"AVI " => Some("video/x-msvideo"),
        _ => None,
    }
}

/// MP4 and its kin (ISO/IEC 14496-12): the brand of the `ftyp` box tells them apart.
fn iso_base_media(head: &[u8]) -> Option<&'static str> {
    if !has(head, 4, b"ftyp") {
        return None;
    }
    Some(match head.get(8..12)? {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" => "image/heic",
        b"mif1" | b"msf1" => "image/heif",
        b"M4A " | b"M4B " | b"F4A " => "audio/mp4",
        b"qt  " => "video/quicktime",
        [b'3', b'g', ..] => "video/3gpp",
        _ => "video/mp4",
    })
}

/// `WebM` and Matroska (RFC 8794, RFC 9559): the document type stands in the EBML header.
fn ebml(head: &[u8]) -> Option<&'static str> {
    if !head.starts_with(b"\x1a\x45\xdf\xa3") {
        return None;
    }
    let header = &head[..head.len().min(64)];
    if holds(header, b"webm") { Some("video/webm") } else { Some("video/matroska") }
}

/// Office documents, e-books and programs are ZIP archives; their first entries say which.
fn zip(head: &[u8]) -> Option<&'static str> {
    if !(head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")) {
        return None;
    }
    let declared = has(head, 30, b"mimetype").then(|| &head[38..]);
    if let Some(declared) = declared {
        return Some(
            DECLARED_IN_ZIP
                .iter()
                .find(|name| declared.starts_with(name.as_bytes()))
                .copied()
                .unwrap_or("application/zip"),
        );
    }
    // An Android package is a Java archive as well, so it comes first.
    let kinds: [(&[u8], &str); 5] = [
        (b"AndroidManifest.xml", "application/vnd.android.package-archive"),
        (b"META-INF/", "application/java-archive"),
        (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ];
    let office = holds(head, b"[Content_Types].xml");
    kinds
        .iter()
        .find(|(entry, name)| holds(head, entry) && (office || !name.contains("openxml")))
        .map(|(_, name)| *name)
        .or(Some("application/zip"))
}

/// What the first, uncompressed entry `mimetype` of a ZIP container may say (`OpenDocument` 1.3 part 2, EPUB OCF 3.3).
const DECLARED_IN_ZIP: [&str; 4] = [
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/epub+zip",
];

fn ogg(head: &[u8]) -> Option<&'static str> {
    if !head.starts_with(b"OggS\0") {
        return None;
    }
    if holds(head, b"\x80theora") { Some("video/ogg") } else { Some("audio/ogg") }
}

/// MP3 and AAC have no signature, only frames: a tag, or a sync word with a plausible header.
fn mpeg_audio(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"ID3") {
        return Some("audio/mpeg");
    }
    let (&first, &second, &third) = (head.first()?, head.get(1)?, head.get(2)?);
    if first != 0xff || second & 0xe0 != 0xe0 {
        return None;
    }
    let (layer, bit_rate, sample_rate) = ((second >> 1) & 3, third >> 4, (third >> 2) & 3);
    let version = (second >> 3) & 3;
    if layer == 0 && second & 0xf0 == 0xf0 && (third >> 2) & 0x0f < 13 {
        Some("audio/aac")
    } else if layer == 1 && version != 1 && bit_rate != 0 && bit_rate != 15 && sample_rate != 3 {
        Some("audio/mpeg")
    } else {
        None
    }
}
