//! The program itself, as a container runs it.

use std::{fs, time::Duration};

use contract::{id::UserId, media::Media};
use futures::{StreamExt, stream};
use reqwest::{Body, Client, StatusCode};
use servers::{ObjectStorage, Program, access_tokens::write_jwks};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    form,
    service::{environment, install_crypto, noise, token, until},
};

/// The program, ready, and the folder of its files.
async fn start(http: &Client) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write_jwks(folder.path()).unwrap();
    let variables = environment(folder.path(), ObjectStorage::shared(), &[]);
    let program = Program::start("media", folder.path(), env!("CARGO_BIN_EXE_media"), variables).unwrap();
    let ready = || http.get(format!("{}/readyz", program.admin_url())).send();
    until("the program is ready", async || ready().await.is_ok_and(|answer| answer.status() == StatusCode::OK)).await;
    (program, folder)
}

/// The most memory it ever had, in KiB.
fn peak(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const PIECE: usize = 1 << 20;
const PIECES: usize = 96;

/// As fast as the program reads, without being held here as a whole either.
fn form_of_96_mib() -> Body {
    let head = stream::iter([form::head("file", "big.bin").into_bytes()]);
    let pieces = stream::iter((0..PIECES).map(|number| noise(number as u64, PIECE)));
    let tail = stream::iter([form::TAIL.as_bytes().to_vec()]);
    Body::wrap_stream(head.chain(pieces).chain(tail).map(Ok::<_, std::io::Error>))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_96_mib_passes_both_ways_in_40_mib_of_memory() {
    install_crypto();
    let http = Client::new();
    let (program, _folder) = start(&http).await;
    let token = token(UserId::generate());
    let idle = peak(&program);

    let answer = http
        .post(format!("{}/api/v1/media", program.url()))
        .bearer_auth(&token)
        .header("content-type", form::CONTENT_TYPE)
        .body(form_of_96_mib())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stored: Media = answer.json().await.unwrap();
    assert_eq!(stored.size, (PIECES * PIECE) as u64);

    let content = format!("{}/api/v1/media/{}/content", program.url(), stored.id);
    let mut bytes = http.get(content).bearer_auth(&token).send().await.unwrap().bytes_stream();
    let mut digest = Sha256::new();
    while let Some(piece) = bytes.next().await {
        digest.update(piece.unwrap());
    }
    assert_eq!(hex::encode(digest.finalize()), stored.sha256);
    let grown = peak(&program) - idle;
    assert!(grown < 40 << 10, "the program has grown by {grown} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_the_upload_in_hand_is_finished_and_the_program_leaves() {
    install_crypto();
    let http = Client::new();
    let (mut program, _folder) = start(&http).await;
    let token = token(UserId::generate());
    let (begun, beginning) = tokio::sync::oneshot::channel::<()>();
    let mut begun = Some(begun);
    let pieces = (0..12).map(move |number| {
        if number == 6 {
            begun.take().unwrap().send(()).unwrap();
        }
        noise(number, PIECE)
    });
    let head = stream::iter([form::head("file", "x.bin").into_bytes()]);
    let body = stream::iter(pieces).then(async |piece| {
        // A client on a slow link.
        tokio::time::sleep(Duration::from_millis(100)).await;
        piece
    });
    let body = head.chain(body).chain(stream::iter([form::TAIL.as_bytes().to_vec()]));
    let upload = tokio::spawn(
        http.post(format!("{}/api/v1/media", program.url()))
            .bearer_auth(&token)
            .header("content-type", form::CONTENT_TYPE)
            .body(Body::wrap_stream(body.map(Ok::<_, std::io::Error>)))
            .send(),
    );
    beginning.await.unwrap();

    program.terminate().unwrap();

    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::CREATED);
    let left = program.wait(Duration::from_secs(30)).unwrap();
    assert!(left.success(), "{left}");
}
