//! Files.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Stage;
use super::people::{Person, text};
use super::rest::Rest;

/// Several parts of a multipart upload to the store, the last one not full.
const SIZE: usize = 17 << 20;

pub(super) fn a_file_comes_back_byte_for_byte_and_by_range(stage: &Stage) -> Result<()> {
    let ada = Person::register(stage, "ada")?;
    let bytes = noise(SIZE);
    let media = upload(stage, &ada, &bytes)?;
    ensure!(media["size"] == SIZE, "another size: {media}");

    let path = content(&media)?;
    let whole = ada.get(stage, &path)?;
    ensure!(whole.status == 200 && whole.bytes == bytes, "{}: {} bytes, not the same", whole.status, whole.bytes.len());

    for (range, expected) in [("bytes=100-199", 100..200), ("bytes=-10", SIZE - 10..SIZE)] {
        let headers = [("authorization", format!("Bearer {}", ada.access_token)), ("range", range.to_owned())];
        let part = stage.rest.send("GET", &path, &headers, &[])?;
        ensure!(part.status == 206 && part.bytes == bytes[expected], "{range}: {} {}", part.status, part.bytes.len());
        ensure!(
            part.header("content-range").ends_with(&format!("/{SIZE}")),
            "content-range {}",
            part.header("content-range")
        );
    }
    Ok(())
}

pub(super) fn a_file_is_refused_to_who_does_not_own_it(stage: &Stage) -> Result<()> {
    let (ada, eve) = (Person::register(stage, "ada")?, Person::register(stage, "eve")?);
    let path = content(&upload(stage, &ada, b"private")?)?;
    let answer = eve.get(stage, &path)?;
    ensure!([403, 404].contains(&answer.status), "answered {}", answer.status);
    ensure!(stage.rest.get(&path, "")?.status == 401, "anybody may read it");
    Ok(())
}

/// Uploads a file and answers what is known of it.
pub(super) fn upload(at: &impl AsRef<Rest>, owner: &Person, bytes: &[u8]) -> Result<Value> {
    const BOUNDARY: &str = "a-boundary-that-noise-does-not-hold";
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"noise.bin\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let body = [head.as_bytes(), bytes, tail.as_bytes()].concat();
    let headers = [
        ("authorization", format!("Bearer {}", owner.access_token)),
        ("content-type", format!("multipart/form-data; boundary={BOUNDARY}")),
    ];
    at.as_ref().send("POST", "/api/v1/media", &headers, &body)?.expect(201)
}

/// The path of a file's content.
pub(super) fn content(media: &Value) -> Result<String> {
    Ok(format!("/api/v1/media/{}/content", text(media, "id")?))
}

/// Bytes without a pattern (xorshift64, Marsaglia 2003), the same each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(size)
    .collect()
}
