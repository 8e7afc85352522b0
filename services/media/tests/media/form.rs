//! Forms as browsers send them (RFC 7578), written by hand so that they can be cut and stretched.

/// The header of such a form.
pub(crate) const CONTENT_TYPE: &str = "multipart/form-data; boundary=----form-4711";

/// All that comes before the bytes of the file.
pub(crate) fn head(field: &str, filename: &str) -> String {
    format!(
        "------form-4711\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{filename}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
}

/// All that comes after them.
pub(crate) const TAIL: &str = "\r\n------form-4711--\r\n";

/// A whole form with one file.
pub(crate) fn of_file(filename: &str, content: &[u8]) -> Vec<u8> {
    [head("file", filename).as_bytes(), content, TAIL.as_bytes()].concat()
}
